package imap

import (
	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// extReplace is REPLACE: a new message for an old one, in one step, RFC 8508 §3.
var extReplace = &extension{name: "REPLACE", rfc: "RFC 8508",
	commands: []command{
		{"REPLACE", stateSelected, tellAll, false, (*conn).replaceCmd},
		{"UID REPLACE", stateSelected, tellAll, true, (*conn).replaceCmd},
	},
}

var errNothingToReplace = no("NONEXISTENT", "there is no such message to replace")

// replaceCmd is REPLACE and UID REPLACE. What can be refused is refused before the
// client sends the message.
func (c *conn) replaceCmd(d *wire.Decoder) error {
	d.SP()
	n := d.NzNumber()
	d.SP()
	path := c.mailbox(d)
	d.SP()
	if d.Err() != nil {
		return d.Err()
	}
	if c.sel.readOnly {
		return errReadOnly
	}
	old, err := c.numbers(wire.NumSet{Ranges: []wire.Range{{First: n, Last: n}}}, c.cmd.byUID)
	if err != nil {
		return err
	}
	if len(old) == 0 {
		return errNothingToReplace
	}
	to, err := c.appendable(path)
	if err != nil {
		return err
	}
	if to.acct.ID() != c.sel.acct.ID() {
		return no("CANNOT", "the mailboxes belong to two people: append, then expunge") // RFC 8508 wants one step
	}
	u, err := c.receive(d, c.lim.MessageBytes)
	if u.staged != nil {
		defer func() { _ = u.staged.Close() }()
	}
	if err != nil {
		return err
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return c.replace(c.uids(old), &to, u)
}

// replace removes the old message first: only what the account grows counts
// against its quota (RFC 8508 §3.4).
func (c *conn) replace(old store.UIDSet, dest *target, u upload) error {
	var added store.Appended
	err := c.sel.acct.Update(c.ctx, func(tx *store.Tx) error {
		to, err := dest.destination(&tx.View)
		if err != nil {
			return err
		}
		gone, err := tx.Expunge(c.sel.mailbox, old)
		if err != nil {
			if mail.KindOf(err) == mail.NotFound {
				return errMailboxGone
			}
			return err
		}
		if len(gone) == 0 {
			return no("EXPUNGEISSUED", "the message is gone")
		}
		added, err = tx.Append(to.ID, u.staged, u.opts)
		return err
	})
	if err != nil {
		return err
	}
	c.srv.stats.appended.Add(1)
	code := appendUint([]byte("APPENDUID "), uint64(added.UIDValidity))
	code = appendUint(append(code, ' '), uint64(added.UID))
	c.untagged("OK [", string(code), "] replaced") // before the EXPUNGE, RFC 8508 §4.3
	return nil
}
