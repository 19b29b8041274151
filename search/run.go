package search

import (
	"context"

	"posthouse/store"
)

// page is how many messages are looked at in one View, so that a long search
// holds nothing back for long.
const page = 256

// run is one search.
type run struct {
	ctx     context.Context
	acct    *store.Account
	snap    *store.Snapshot
	key     Key
	scratch scratch
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
	r := &run{ctx: ctx, acct: acct, snap: w.Snap, key: prepare(key)}
	for lo := w.Lo; lo < w.Hi; lo += page {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := r.page(lo, min(lo+page, w.Hi), found)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// verdict is the answer for one message of a page.
type verdict struct {
	at    int
	row   store.Row
	ans   answer
	score uint8
}

// page decides messages lo to hi: by their rows, and those that rows leave open
// by their records and bytes.
func (r *run) page(lo, hi int, found func(int, store.Row, uint8) bool) (more bool, err error) {
	var verdicts [page]verdict
	kept := verdicts[:0]
	open := 0
	c := &candidate{run: r}
	for i, row := range r.snap.Rows(lo, hi) {
		c.row = row
		a, err := r.key.eval(c)
		if err != nil {
			return false, err
		}
		if a == unknown {
			open++
		}
		if a != no {
			kept = append(kept, verdict{i, row, a, 100})
		}
	}
	if open > 0 {
		if err := r.settle(kept, open); err != nil {
			return false, err
		}
	}
	for _, v := range kept {
		if v.ans == yes && !found(v.at, v.row, v.score) {
			return false, nil
		}
	}
	return true, nil
}

// settle decides the messages that are still open.
func (r *run) settle(vs []verdict, open int) error {
	rows, at := make([]store.Row, 0, open), make([]int, 0, open)
	for i, v := range vs {
		if v.ans == unknown {
			rows, at = append(rows, v.row), append(at, i)
		}
	}
	return r.acct.View(r.ctx, func(v *store.View) error {
		var failed error
		err := v.Emails(rows, func(i int, e *store.Email) bool {
			failed = r.decide(&vs[at[i]], e)
			return failed == nil
		})
		if failed != nil {
			return failed
		}
		return err
	})
}

// decide answers for one message from its record and, if that is not enough, its
// bytes. A message that is gone meanwhile never gets here and does not match.
func (r *run) decide(v *verdict, e *store.Email) (err error) {
	c := &candidate{run: r, row: v.row, email: e}
	if v.ans, err = r.key.eval(c); err != nil || v.ans != unknown {
		return err
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	c.bytes, c.scores, c.hits = true, 0, 0
	defer c.msg.close()
	v.ans, err = r.key.eval(c)
	v.score = c.score()
	return err
}
