package admin

import (
	"context"
	"fmt"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store/engine"
)

// Check is the input of check.
type Check struct {
	Deep   bool `json:"deep"`   // read every byte of every message too
	Repair bool `json:"repair"` // mend first what can be mended
}

// Findings is the output of check.
type Findings struct {
	V        int      `json:"v"`
	Problems []string `json:"problems"` // the first 1,000
	Mended   []string `json:"mended,omitempty"`
	More     int      `json:"more"` // found beyond them
	Accounts int      `json:"accounts"`
}

const maxFindings = 1000

func (f *Findings) add(format string, args ...any) {
	if len(f.Problems) >= maxFindings {
		f.More++
		return
	}
	f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
}

func (f *Findings) mend(done string) {
	if len(f.Mended) < maxFindings {
		f.Mended = append(f.Mended, done)
	}
}

// check verifies engine, store, directory and queue, and that they agree on
// who exists. It runs beside everything else.
func check(ctx context.Context, s *System, in Check) (Findings, error) {
	out := Findings{V: 1, Problems: []string{}}
	if r, ok := s.Engine.(engine.Repairer); ok && in.Repair {
		if err := r.Repair(ctx, func(done string) { out.mend("engine: " + done) }); err != nil {
			return out, err
		}
	}
	if err := s.Engine.Check(ctx, in.Deep, func(p string) { out.add("engine: %s", p) }); err != nil {
		return out, err
	}
	err := s.Store.Check(ctx, in.Deep, func(id mail.AccountID, p string) { out.add("account %d: %s", id, p) })
	if err != nil {
		return out, err
	}
	if err := s.Directory.Check(ctx, func(p string) { out.add("directory: %s", p) }); err != nil {
		return out, err
	}
	if err := s.Queue.Check(ctx, func(p string) { out.add("%s", p) }); err != nil {
		return out, err
	}
	return out, s.checkAccounts(ctx, &out)
}

// checkAccounts compares the accounts of the directory with those that have
// mail. Both are read while accounts come and go: only what is still so at a
// second look is reported.
func (s *System) checkAccounts(ctx context.Context, out *Findings) error {
	known := map[mail.AccountID]bool{}
	err := s.Directory.Accounts(ctx, func(a directory.Account) bool {
		known[a.ID] = true
		return true
	})
	if err != nil {
		return err
	}
	out.Accounts = len(known)
	err = s.Engine.Accounts(func(id engine.Account) bool {
		if id == 0 {
			return true
		}
		if !known[id] && s.orphan(ctx, id) {
			out.add("account %d has mail but is not in the directory", id)
		}
		delete(known, id)
		return ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	for id := range known {
		if _, err := s.Store.Account(ctx, id); mail.KindOf(err) == mail.NotFound && err != nil {
			if a, err := s.Directory.Account(ctx, id); err == nil {
				out.add("account %d (%s) is in the directory but has no mailboxes", id, a.Address)
			}
		}
	}
	return ctx.Err()
}

// orphan reports whether an account has mail but still no directory record.
func (s *System) orphan(ctx context.Context, id mail.AccountID) bool {
	if _, err := s.Directory.Account(ctx, id); err == nil || mail.KindOf(err) != mail.NotFound {
		return false
	}
	_, err := s.Store.Account(ctx, id)
	return err == nil
}
