package imap

import (
	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// messageCommands work on messages of the selected mailbox, RFC 9051 §6.4.
var messageCommands = []command{
	{"EXPUNGE", stateSelected, tellAll, false, (*conn).expunge},
	{"FETCH", stateSelected, tellNoExpunge, false, (*conn).fetchCmd},
	{"UID FETCH", stateSelected, tellAll, true, (*conn).fetchCmd},
	{"SEARCH", stateSelected, tellNoExpunge, false, (*conn).searchCmd},
	{"UID SEARCH", stateSelected, tellAll, true, (*conn).searchCmd},
	{"STORE", stateSelected, tellNoExpunge, false, (*conn).storeCmd},
	{"UID STORE", stateSelected, tellAll, true, (*conn).storeCmd},
	{"COPY", stateSelected, tellAll, false, func(c *conn, d *wire.Decoder) error { return c.copyCmd(d, false) }},
	{"UID COPY", stateSelected, tellAll, true, func(c *conn, d *wire.Decoder) error { return c.copyCmd(d, false) }},
}

var extMove = &extension{name: "MOVE", rfc: "RFC 6851",
	commands: []command{
		{"MOVE", stateSelected, tellAll, false, func(c *conn, d *wire.Decoder) error { return c.copyCmd(d, true) }},
		{"UID MOVE", stateSelected, tellAll, true, func(c *conn, d *wire.Decoder) error { return c.copyCmd(d, true) }},
	},
}

var errReadOnly = no("READ-ONLY", "the mailbox is selected read-only")

// copyCmd is COPY, RFC 9051 §6.4.7, and MOVE, RFC 6851 §3.1. MOVE tells COPYUID
// before the messages go (§4.3); that they went is told as all expunges are.
func (c *conn) copyCmd(d *wire.Decoder, move bool) error {
	d.SP()
	set := d.NumSet()
	d.SP()
	path := c.mailbox(d)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if move && c.sel.readOnly {
		return errReadOnly
	}
	spans, err := c.numbers(set, c.cmd.byUID)
	if err != nil {
		return err
	}
	if move {
		spans = c.newest(spans)
	} else if err := c.tooMany(spanned(spans)); err != nil {
		return err
	}
	uids := c.uids(spans)
	to, err := c.target(path)
	if err != nil {
		return orTryCreate(err)
	}
	done, err := c.transfer(&to, uids, move)
	if err != nil && len(done.Source) == 0 {
		return c.selectedGone(err)
	}
	if len(done.Source) == 0 {
		if len(uids) > 0 {
			return no("EXPUNGEISSUED", "the messages are gone")
		}
		return nil
	}
	code := appendUint([]byte("COPYUID "), uint64(done.UIDValidity)) // RFC 4315 §3
	code = done.Source.AppendTo(append(code, ' '))
	code = done.Dest.AppendTo(append(code, ' '))
	if move {
		c.untagged("OK [", string(code), "] moved")
	} else {
		c.okCode = string(code)
	}
	return err
}

// transfer copies or moves messages of the selected mailbox, within its account in one
// transaction.
func (c *conn) transfer(to *target, uids store.UIDSet, move bool) (done store.Copied, err error) {
	if to.acct.ID() != c.sel.acct.ID() {
		return c.copyAcross(to, uids, move)
	}
	err = c.sel.acct.Update(c.ctx, func(tx *store.Tx) error {
		m, err := to.destination(&tx.View)
		if err != nil {
			return err
		}
		switch {
		case len(uids) == 0:
			done = store.Copied{}
		case move:
			done, err = tx.Move(c.sel.mailbox, m.ID, uids)
		default:
			done, err = tx.Copy(c.sel.mailbox, m.ID, uids)
		}
		return err
	})
	if err != nil {
		done = store.Copied{}
	}
	return done, err
}

// selectedGone tells a missing selected mailbox from other failures.
func (c *conn) selectedGone(err error) error {
	if mail.KindOf(err) != mail.NotFound {
		return err
	}
	if _, cur := c.current(); cur != nil {
		return cur
	}
	return err
}

// expunge is EXPUNGE, RFC 9051 §6.4.3; sync tells what went.
func (c *conn) expunge(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return c.expungeNow(nil)
}

// uidExpunge is UID EXPUNGE, RFC 9051 §6.4.9 and RFC 4315 §2.1.
func (c *conn) uidExpunge(d *wire.Decoder) error {
	d.SP()
	set := d.NumSet()
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	spans, err := c.numbers(set, c.cmd.byUID)
	if err != nil {
		return err
	}
	if len(spans) == 0 && !c.sel.readOnly {
		return nil
	}
	return c.expungeNow(c.newest(spans))
}

func (c *conn) expungeNow(spans []span) error {
	if c.sel.readOnly {
		return errReadOnly
	}
	return c.expungeDeleted(spans)
}

// expungeDeleted removes the messages of spans (nil: all there are) that are
// \Deleted.
func (c *conn) expungeDeleted(spans []span) error {
	uids := store.UIDSet{{First: 1, Last: ^store.UID(0)}}
	if spans != nil {
		uids = c.uids(spans)
	}
	return c.sel.acct.Update(c.ctx, func(tx *store.Tx) error {
		cur, err := tx.Snapshot(c.sel.mailbox)
		if err != nil {
			return c.gone(err)
		}
		if cur.Mailbox().Deleted == 0 {
			return nil
		}
		var dead store.UIDSet
		for _, row := range rowsOf(cur, uids) {
			if cur.System(row.Flags)&store.DeletedBit != 0 {
				dead = addUID(dead, row.UID)
			}
		}
		if len(dead) > 0 {
			_, err = tx.Expunge(c.sel.mailbox, dead)
		}
		return err
	})
}
