package admin

import (
	"context"
	"fmt"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
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
	if in.Repair {
		if err := s.repairStore(ctx, &out); err != nil {
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
	if err := s.checkQuotas(ctx, func(a directory.Account) error {
		out.add("account %d (%s): the directory and the store have different quotas for it", a.ID, a.Address)
		return nil
	}); err != nil {
		return out, err
	}
	if err := s.checkGrants(ctx, &out); err != nil {
		return out, err
	}
	return out, s.checkAccounts(ctx, &out)
}

// checkGrants: mailboxes are shared with accounts and groups that are there.
func (s *System) checkGrants(ctx context.Context, out *Findings) error {
	var failed error
	err := s.Store.Grantees(ctx, func(who mail.AccountID) bool {
		_, err := s.Directory.Name(ctx, who)
		switch {
		case err == nil:
		case mail.KindOf(err) == mail.NotFound:
			out.add("mailboxes are shared with %d, which is not in the directory", who)
		default:
			failed = err
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// repairStore makes anew what can be made from the mail and from the directory.
func (s *System) repairStore(ctx context.Context, out *Findings) error {
	known := func(id mail.AccountID) bool {
		_, err := s.Directory.Name(ctx, id)
		return err == nil || mail.KindOf(err) != mail.NotFound
	}
	if err := s.Store.Repair(ctx, known, func(id mail.AccountID, what string) {
		out.mend(fmt.Sprintf("account %d: %s", id, what))
	}); err != nil {
		return err
	}
	return s.checkQuotas(ctx, func(a directory.Account) error {
		out.mend(fmt.Sprintf("account %d (%s): its quota", a.ID, a.Address))
		return s.Store.Update(ctx, []mail.AccountID{a.ID}, nil, func(txs []*store.Tx) error { return setQuota(txs[0], &a) })
	})
}

// checkQuotas calls f with each account of which the store has another quota or
// domain than the directory. Both are read while they change: only what is still so at
// a second look counts.
func (s *System) checkQuotas(ctx context.Context, f func(directory.Account) error) error {
	var all []directory.Account
	if err := s.Directory.Accounts(ctx, func(a directory.Account) bool {
		if !s.sameQuota(ctx, &a) {
			all = append(all, a)
		}
		return true
	}); err != nil {
		return err
	}
	for _, a := range all {
		now, err := s.Directory.Account(ctx, a.ID)
		if err != nil || s.sameQuota(ctx, &now) {
			continue
		}
		if err := f(now); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sameQuota is true also where the store has no such account: that is another fault.
func (s *System) sameQuota(ctx context.Context, a *directory.Account) bool {
	acct, err := s.Store.Account(ctx, a.ID)
	if err != nil {
		return true
	}
	same := true
	_ = acct.View(ctx, func(v *store.View) error { // deleted meanwhile: no fault
		q, d := v.Bounds()
		same = q == store.Quota(a.Quota) && (d == a.Address.Domain || d == "") // accounts from before domains had quotas have none
		return nil
	})
	return same
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
