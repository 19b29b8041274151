package store

import (
	"slices"

	"posthouse/mail"
)

// A Delta is what changed by id since a position, RFC 8620 §5.2. What was made and
// went again is not in it.
type Delta[T ~uint64] struct {
	Pos                         LogPos // where it leads: the end of the log, unless More
	More                        bool   // there were too many: ask again from Pos
	Created, Updated, Destroyed []T
	// CountsOnly, of mailboxes: nothing changed of Updated but their messages.
	CountsOnly bool
}

// An existence says whether something was there at both ends of a delta.
type existence struct{ then, now bool }

func (d *Delta[T]) put(id T, x existence) {
	switch {
	case x.now && !x.then:
		d.Created = append(d.Created, id)
	case x.now:
		d.Updated = append(d.Updated, id)
	case x.then:
		d.Destroyed = append(d.Destroyed, id)
	}
}

// EmailChanges returns which messages came, changed in flags or mailboxes, and went
// since a position. A message exists while it is in a mailbox that the reader may
// read. At most most of them are told of, at least those of one transaction; 0 is no
// bound. NotFound if the log does not reach back that far, or one transaction has more.
func (v *View) EmailChanges(since LogPos, most int) (*Delta[EmailID], error) {
	w, err := v.walkEmails("EmailChanges", since, most, true)
	if err != nil {
		return nil, err
	}
	d := &Delta[EmailID]{Pos: w.cut, More: w.cut < v.LogEnd()}
	for _, id := range w.order {
		x, err := v.existed(id, w.touched[id])
		if err != nil {
			return nil, err
		}
		d.put(id, x)
	}
	return d, nil
}

// ThreadChanges is EmailChanges for conversations: which came, got or lost messages,
// and went. NotFound also if a message that went has been reaped.
func (v *View) ThreadChanges(since LogPos, most int) (*Delta[ThreadID], error) {
	const op = "ThreadChanges"
	w, err := v.walkEmails(op, since, most, false)
	if err != nil {
		return nil, err
	}
	d := &Delta[ThreadID]{Pos: w.cut, More: w.cut < v.LogEnd()}
	done := map[ThreadID]bool{}
	for _, id := range w.order {
		e, err := v.email(id)
		if err != nil {
			return nil, err
		}
		if done[e.Thread] {
			continue
		}
		done[e.Thread] = true
		x, changed, err := v.threadExisted(e.Thread, w)
		if err != nil {
			return nil, err
		}
		if changed {
			d.put(e.Thread, x)
		}
	}
	return d, nil
}

// threadExisted says whether any message of a thread existed at both ends of a walk,
// and whether they were others.
func (v *View) threadExisted(t ThreadID, w *emailWalk) (any existence, changed bool, err error) {
	all, err := v.threadMembers(t)
	for _, id := range all {
		x := w.touched[id]
		if x == nil {
			x = &touch{}
		}
		e, err := v.existed(id, x)
		if err != nil {
			return any, false, err
		}
		any.then, any.now, changed = any.then || e.then, any.now || e.now, changed || e.then != e.now
	}
	return any, changed, err
}

// existed says whether a message was anywhere at both ends of a walk.
func (v *View) existed(id EmailID, x *touch) (existence, error) {
	have, err := v.Memberships(id)
	return existence{len(have)-x.before-x.after > 0, len(have)-x.after > 0}, err
}

// A touch is what happened to a message: memberships that it won, up to the cut and
// behind it.
type touch struct{ before, after int }

// An emailWalk is what the log says of messages from a position on.
type emailWalk struct {
	cut     LogPos
	order   []EmailID // touched up to the cut
	touched map[EmailID]*touch
}

// walkEmails reads the log. It finds the cut, the end of the last transaction with
// which no more than most messages were touched, and what happened before and behind.
func (v *View) walkEmails(op string, since LogPos, most int, flags bool) (*emailWalk, error) {
	gone, err := v.goneEmails(since, flags)
	if err != nil {
		return nil, err
	}
	w := &emailWalk{cut: since, touched: map[EmailID]*touch{}}
	var failed error
	at, full := since, false
	tx := map[EmailID]int{} // of the transaction at at
	end := func() {
		fresh := 0
		for id := range tx {
			if w.touched[id] == nil {
				fresh++
			}
		}
		full = full || most > 0 && len(w.order)+fresh > most
		ids := make([]EmailID, 0, len(tx))
		for id := range tx {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			w.touch(id, tx[id], full)
		}
		if !full {
			w.cut = at
		}
		clear(tx)
	}
	err = v.Changes(since, func(c Change) bool {
		if c.Pos != at {
			end()
			at = c.Pos
		}
		switch c.Kind {
		case Added:
			for _, e := range c.Emails {
				tx[e]++
			}
		case Expunged:
			for _, e := range c.Emails {
				tx[e]--
			}
		case Flagged:
			if flags {
				failed = v.emailsOf(c.Mailbox, c.UIDs, gone, func(e EmailID) { tx[e] += 0 })
			}
		}
		return failed == nil
	})
	if failed != nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	end()
	if !full {
		w.cut = v.LogEnd()
	} else if w.cut == since {
		return nil, fail(mail.NotFound, op, "more changed at once than may be told of")
	}
	return w, nil
}

func (w *emailWalk) touch(id EmailID, won int, behind bool) {
	x := w.touched[id]
	if x == nil {
		x = &touch{}
		w.touched[id] = x
		if !behind {
			w.order = append(w.order, id)
		}
	}
	if behind {
		x.after += won
	} else {
		x.before += won
	}
}

// goneEmails returns the messages that left mailboxes since a position, by their
// place there.
func (v *View) goneEmails(since LogPos, want bool) (map[Membership]EmailID, error) {
	gone := map[Membership]EmailID{}
	err := v.Changes(since, func(c Change) bool {
		if c.Kind == Expunged && want {
			i := 0
			for u := range c.UIDs.All() {
				gone[Membership{c.Mailbox, u}] = c.Emails[i]
				i++
			}
		}
		return want
	})
	return gone, err
}

// emailsOf calls f with the messages of a mailbox that are or were there.
func (v *View) emailsOf(id MailboxID, uids UIDSet, gone map[Membership]EmailID, f func(EmailID)) error {
	have := noContent
	if b := v.st.box(id); b != nil {
		var err error
		if have, err = b.lazy.load(); err != nil {
			return err
		}
	}
	have.eachRange(uids, func(k *chunk, lo, hi int) {
		for j := lo; j < hi; j++ {
			f(k.cols.email.at(j))
		}
	})
	if len(gone) == 0 {
		return nil
	}
	for u := range uids.All() {
		if e, ok := gone[Membership{id, u}]; ok {
			f(e)
		}
	}
	return nil
}

// MailboxChanges is EmailChanges for mailboxes: which came, changed in themselves or
// in what they hold, and went.
func (v *View) MailboxChanges(since LogPos, most int) (*Delta[MailboxID], error) {
	type life struct {
		made, gone LogPos // 0: not since
		itself     bool   // not only its messages
	}
	boxes := map[MailboxID]*life{}
	var order []MailboxID
	cut, at, full, known := since, since, false, 0
	end := func() {
		if full = full || most > 0 && len(order) > most; !full {
			cut, known = at, len(order)
		}
	}
	err := v.Changes(since, func(c Change) bool {
		if c.Mailbox == 0 {
			return true
		}
		if c.Pos != at {
			end()
			at = c.Pos
		}
		x := boxes[c.Mailbox]
		if x == nil {
			x = &life{}
			boxes[c.Mailbox] = x
			order = append(order, c.Mailbox)
		}
		switch c.Kind {
		case MailboxCreated:
			x.made = c.Pos
		case MailboxDeleted:
			x.gone = c.Pos
		}
		if !full {
			x.itself = x.itself || c.Kind >= MailboxCreated
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if end(); full && cut == since {
		return nil, fail(mail.NotFound, "MailboxChanges", "more changed at once than may be told of")
	}
	if !full {
		cut = v.LogEnd()
	}
	d := &Delta[MailboxID]{Pos: cut, More: full, CountsOnly: true}
	for _, id := range order[:known] {
		x := boxes[id]
		e := existence{x.made == 0, v.st.box(id) != nil || x.gone > cut}
		if e.then && e.now && x.itself {
			d.CountsOnly = false
		}
		d.put(id, e)
	}
	return d, nil
}
