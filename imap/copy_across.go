package imap

import (
	"io"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// A crossing is COPY or MOVE between two accounts: the bytes go through here, since
// accounts share none.
type crossing struct {
	c    *conn
	to   *target
	move bool
	done store.Copied
}

// carried is one message on its way.
type carried struct {
	uid    store.UID
	email  *store.Email
	staged *store.Staged
	opts   store.AppendOptions
	notes  []noteChange // annotations that this user sees
}

// copyAcross copies messages of the selected mailbox into another account's: all or
// none, as many as one APPEND may bring. MOVE goes in steps of that size, each of which
// is safe at its new place before it leaves the old one.
func (c *conn) copyAcross(to *target, uids store.UIDSet, move bool) (store.Copied, error) {
	x := crossing{c: c, to: to, move: move}
	all, err := x.collect(uids)
	for err == nil && len(all) > 0 {
		n, size := 0, int64(0)
		for n < len(all) && n < c.lim.AppendMessages {
			if size += all[n].email.Size; n > 0 && size > c.lim.MessageBytes {
				break
			}
			n++
		}
		if n < len(all) && !move {
			return x.done, no("LIMIT", "too much to copy at once into a mailbox of somebody else")
		}
		err = x.carry(all[:n])
		all = all[n:]
	}
	return x.done, err
}

// collect finds the messages, and checks what is to be allowed before any is copied.
func (x *crossing) collect(uids store.UIDSet) (all []carried, err error) {
	c := x.c
	err = x.to.acct.View(c.ctx, func(v *store.View) error {
		_, err := x.to.destination(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, c.sel.acct.View(c.ctx, func(v *store.View) error {
		snap, err := v.Snapshot(c.sel.mailbox)
		if err == nil && x.move {
			err = allowed(v, snap.Mailbox(), store.RightDeleted|store.RightExpunge)
		}
		if err != nil {
			return err
		}
		at := map[store.UID]int{}
		for _, row := range rowsOf(snap, uids) {
			e, err := v.Email(row.Email)
			if err != nil {
				return err
			}
			at[row.UID] = len(all)
			all = append(all, carried{uid: row.UID, email: e, opts: store.AppendOptions{
				Flags: snap.Flags(row.Flags), InternalDate: time.Unix(row.InternalDate, 0), Findings: e.Findings()}})
		}
		return v.MessageAnnotations(c.sel.mailbox, uids, c.user.ID, func(u store.UID, a *store.Annotation) bool {
			if i, ok := at[u]; ok {
				all[i].notes = append(all[i].notes, noteChange{name: a.Name, shared: a.User == 0, value: a.Value})
			}
			return true
		})
	})
}

// carry takes messages over in one transaction, and then expunges them if they move.
func (x *crossing) carry(batch []carried) error {
	c := x.c
	defer func() {
		for i := range batch {
			if batch[i].staged != nil {
				_ = batch[i].staged.Close()
			}
		}
	}()
	for i := range batch {
		if err := x.stage(&batch[i]); err != nil {
			return err
		}
	}
	var from, dest store.UIDSet
	var validity uint32
	err := x.to.acct.Update(c.ctx, func(tx *store.Tx) error {
		from, dest = nil, nil
		m, err := x.to.destination(&tx.View)
		if err != nil {
			return err
		}
		for i := range batch {
			a, err := tx.Append(m.ID, batch[i].staged, batch[i].opts)
			if err != nil {
				return err
			}
			if err := x.annotate(tx, m.ID, a.UID, batch[i].notes); err != nil {
				return err
			}
			validity = a.UIDValidity
			from, dest = addUID(from, batch[i].uid), addUID(dest, a.UID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.done.UIDValidity = validity
	x.done.Source, x.done.Dest = x.done.Source.Union(from), x.done.Dest.Union(dest)
	if !x.move {
		return nil
	}
	err = c.sel.acct.Update(c.ctx, func(tx *store.Tx) error {
		_, err := tx.Expunge(c.sel.mailbox, from)
		return err
	})
	if mail.KindOf(err) == mail.NotFound {
		return c.gone(err)
	}
	return err
}

// annotate takes the annotations along; shared ones where they may be set (RFC 5257
// §4.6).
func (x *crossing) annotate(tx *store.Tx, id store.MailboxID, uid store.UID, notes []noteChange) error {
	for i := range notes {
		ch := &notes[i]
		err := tx.SetMessageAnnotation(id, uid, x.c.noteUser(ch), ch.name, ch.value)
		if err != nil && mail.KindOf(err) != mail.Denied {
			return noteError(err)
		}
	}
	return nil
}

// stage copies the bytes of one message.
func (x *crossing) stage(m *carried) (err error) {
	c := x.c
	if m.staged, err = c.srv.opts.Store.Stage(c.ctx); err != nil {
		return err
	}
	body, err := c.sel.acct.Open(c.ctx, m.email)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if _, err := io.Copy(m.staged, io.NewSectionReader(body, 0, m.email.Size)); err != nil {
		return err
	}
	return m.staged.Finish()
}
