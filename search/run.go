package search

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"posthouse/mail"
	"posthouse/store"
)

// page is how many messages are looked at in one View, so that a long search
// holds nothing back for long.
const page = 256

// run is one search, or one processor's share of it.
type run struct {
	ctx      context.Context
	acct     *store.Account
	snap     *store.Snapshot
	key      Key
	verdicts []verdict // of a page
	failed   error     // how its page ended
	scratch  scratch
	rows     []store.Row // of a page, those that are open
	at       []int       // their places in verdicts
	kept     []store.Email
	emails   []*store.Email // those whose bytes are needed, in kept
	arena    []byte         // theirs
}

// Run calls found with the position in snap of each message that matches key,
// ascending, until found returns false. It ends early with ctx's error, which is
// looked at for each message whose bytes are read.
func Run(ctx context.Context, acct *store.Account, snap *store.Snapshot, key Key, found func(i int, row store.Row) bool) error {
	return RunWindow(ctx, acct, Window{snap, 0, snap.Len()}, key, found)
}

// A Window is the messages Lo <= i < Hi of a snapshot.
type Window struct {
	Snap   *store.Snapshot
	Lo, Hi int
}

// RunWindow is Run over some of the messages, for callers with something to say
// while it lasts.
func RunWindow(ctx context.Context, acct *store.Account, w Window, key Key, found func(i int, row store.Row) bool) error {
	return RunScored(ctx, acct, w, key, func(i int, row store.Row, _ uint8) bool { return found(i, row) })
}

// RunScored is RunWindow that also tells how well each message matches what is
// [Fuzzy] in the key: from 1 to 100.
func RunScored(ctx context.Context, acct *store.Account, w Window, key Key, found func(i int, row store.Row, score uint8) bool) error {
	key = prepare(key)
	runs := make([]run, 1)
	if key.cost() >= byHeader { // messages are decoded: that is work for all processors
		runs = make([]run, min(runtime.GOMAXPROCS(0), maxRuns))
	}
	for i := range runs {
		runs[i] = run{ctx: ctx, acct: acct, snap: w.Snap, key: key}
	}
	for lo := w.Lo; lo < w.Hi; lo += page * len(runs) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var wg sync.WaitGroup
		for i := range runs {
			r, lo := &runs[i], lo+page*i
			if r.verdicts = r.verdicts[:0]; lo >= w.Hi {
				continue
			}
			if len(runs) == 1 {
				r.failed = r.page(lo, min(lo+page, w.Hi))
				continue
			}
			wg.Go(func() { r.failed = r.page(lo, min(lo+page, w.Hi)) })
		}
		wg.Wait()
		for i := range runs {
			if more, err := runs[i].tell(found); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// maxRuns is how many processors one search may keep busy.
const maxRuns = 4

// verdict is the answer for one message of a page.
type verdict struct {
	at    int
	row   store.Row
	ans   answer
	score uint8
}

// page decides messages lo to hi: by their rows, and those that rows leave open
// by their records and bytes.
func (r *run) page(lo, hi int) error {
	open := 0
	c := &candidate{run: r}
	for i, row := range r.snap.Rows(lo, hi) {
		c.row = row
		a, err := r.key.eval(c)
		if err != nil {
			return err
		}
		if a == unknown {
			open++
		}
		if a != no {
			r.verdicts = append(r.verdicts, verdict{i, row, a, 100})
		}
	}
	if open == 0 {
		return nil
	}
	return r.settle(r.verdicts, open)
}

// tell calls found with what a page found.
func (r *run) tell(found func(int, store.Row, uint8) bool) (more bool, err error) {
	if r.failed != nil {
		return false, r.failed
	}
	for _, v := range r.verdicts {
		if v.ans == yes && !found(v.at, v.row, v.score) {
			return false, nil
		}
	}
	return true, nil
}

// settle decides the messages that are still open: by their records, and those
// that records leave open by their bytes, which are read together.
func (r *run) settle(vs []verdict, open int) error {
	rows, at := r.rows[:0], r.at[:0]
	for i, v := range vs {
		if v.ans == unknown {
			rows, at = append(rows, v.row), append(at, i)
		}
	}
	r.rows, r.at, r.arena = rows, at, r.arena[:0]
	r.kept = slices.Grow(r.kept[:0], open)[:open]
	r.emails = slices.Grow(r.emails[:0], open)[:open]
	emails := r.emails
	clear(emails)
	unread := 0
	c := &candidate{run: r}
	err := r.acct.View(r.ctx, func(v *store.View) error {
		var failed error
		err := v.Emails(rows, func(i int, e *store.Email) bool {
			v := &vs[at[i]]
			c.row, c.email, c.scores, c.hits = rows[i], e, 0, 0
			v.ans, failed = r.key.eval(c)
			if v.score = c.score(); v.ans == unknown {
				r.kept[i] = *e
				r.arena = r.kept[i].Keep(r.arena)
				emails[i] = &r.kept[i]
				unread++
			}
			return failed == nil
		})
		return errors.Join(failed, err)
	})
	if err != nil || unread == 0 {
		return err
	}
	return r.read(emails, func(i int, raw []byte) (err error) {
		c := &candidate{run: r, row: rows[i], email: emails[i], bytes: true, msg: loaded{raw: raw}}
		defer c.msg.close()
		vs[at[i]].ans, err = r.key.eval(c)
		vs[at[i]].score = c.score()
		return err
	})
}

// wholeMessage is the size in bytes up to which a message is read as a whole.
const wholeMessage = 1 << 20

// read calls f for each message that is not nil, in no certain order: with its
// bytes, or, if it is large, with nil. A message that is gone does not match.
func (r *run) read(emails []*store.Email, f func(i int, raw []byte) error) error {
	for i, e := range emails {
		if e == nil || e.Size <= wholeMessage {
			continue
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := f(i, nil); err != nil {
			return err
		}
		emails[i] = nil
	}
	var failed error
	err := r.acct.ReadAll(r.ctx, emails, func(i int, raw []byte, err error) bool {
		switch {
		case err == nil:
			failed = f(i, raw)
		case mail.KindOf(err) != mail.NotFound:
			failed = err
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}
