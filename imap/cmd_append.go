package imap

import (
	"strings"
	"time"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// appendCommands is APPEND alone.
var appendCommands = []command{
	{"APPEND", loggedIn, tellAll, false, (*conn).appendCmd},
}

// extAppendLimit announces the largest message, RFC 7889 §3.
var extAppendLimit = &extension{name: "APPENDLIMIT", rfc: "RFC 7889",
	caps: func(c *conn, dst []byte) []byte {
		return appendUint(append(dst, " APPENDLIMIT="...), uint64(min(c.lim.MessageBytes, 1<<32-1)))
	},
	status: []statusItem{{"APPENDLIMIT", func(dst []byte, c *conn, _ *mailboxState) []byte {
		return appendUint(dst, uint64(min(c.lim.MessageBytes, 1<<32-1)))
	}}},
}

// extMultiAppend: several messages in one APPEND, all or none, RFC 3502 §6.3.11.
var extMultiAppend = &extension{name: "MULTIAPPEND", rfc: "RFC 3502"}

// An upload is one message of an APPEND.
type upload struct {
	staged *store.Staged
	opts   store.AppendOptions
	notes  []noteChange
}

// An appendExt is what may stand before a message, RFC 4466 §2.3: it reads what follows
// its name into u.
type appendExt struct {
	name string
	read func(c *conn, d *wire.Decoder, u *upload)
}

// An appendData is another form of a message than a literal, RFC 4466 §2.3: it reads
// what stands behind its name into u.
type appendData struct {
	name    string
	receive func(c *conn, d *wire.Decoder, u *upload, left int64) error
}

// APPEND, RFC 9051 §6.3.12. The message streams into the store; the mailbox is
// looked for before the client is asked to send it.
func (c *conn) appendCmd(d *wire.Decoder) error {
	d.SP()
	path := c.mailbox(d)
	d.SP()
	if d.Err() != nil {
		return d.Err()
	}
	to, err := c.appendable(path)
	if err != nil {
		return err
	}
	var ups []upload
	defer func() {
		for _, u := range ups {
			_ = u.staged.Close()
		}
	}()
	left := c.lim.MessageBytes // for all: small messages wait in memory
	for {
		u, err := c.receive(d, left)
		if u.staged != nil {
			ups = append(ups, u)
			left -= u.staged.Size()
		}
		if err != nil {
			return err
		}
		if !d.Try(' ') {
			break
		}
		if err := c.tooMany(len(ups) + 1); err != nil {
			return err
		}
		if len(ups) >= c.lim.AppendMessages {
			return no("LIMIT", "too many messages in one APPEND")
		}
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	return c.appendAll(&to, ups)
}

// appendable finds a mailbox that takes messages, or reports early that it takes none.
func (c *conn) appendable(path string) (to target, err error) {
	if to, err = c.target(path); err != nil {
		return to, orTryCreate(err)
	}
	return to, to.acct.View(c.ctx, func(v *store.View) error {
		_, err := to.destination(v)
		return err
	})
}

// destination finds the mailbox that takes messages.
func (t *target) destination(v *store.View) (*store.Mailbox, error) {
	m, err := t.mailbox(v)
	if err != nil {
		return nil, orTryCreate(err)
	}
	if m.NoSelect {
		return nil, no("TRYCREATE", "the mailbox takes no messages")
	}
	return m, orTryCreate(allowed(v, m, store.RightInsert))
}

// receive reads flags, date and literal of one message of at most left bytes.
func (c *conn) receive(d *wire.Decoder, left int64) (u upload, err error) {
	if d.Peek() == '(' {
		u.opts.Flags = storable(d.Flags())
		d.SP()
	}
	if d.Peek() == '"' {
		u.opts.InternalDate = d.DateTime()
		d.SP()
	}
	for d.Peek() != '{' && d.Peek() != '~' && d.Err() == nil {
		word := string(d.Word())
		if x := c.tab.appendExts[word]; x != nil {
			d.SP()
			x.read(c, d, &u)
			d.SP()
			continue
		}
		if x := c.tab.appendData[word]; x != nil {
			err = x.receive(c, d, &u, left)
			return u, err
		}
		d.Bad("expected a literal")
	}
	err = c.receiveLiteral(d, &u, left)
	return u, err
}

// receiveLiteral reads a message that is one literal.
func (c *conn) receiveLiteral(d *wire.Decoder, u *upload, left int64) (err error) {
	lit := d.Announced()
	if d.Err() != nil {
		return d.Err()
	}
	if lit.Size > c.lim.MessageBytes {
		return no("TOOBIG", "the message is too large")
	}
	if lit.Size > left {
		return no("LIMIT", "too much in one APPEND")
	}
	if u.staged, err = c.srv.opts.Store.Stage(c.ctx); err != nil {
		return err
	}
	if d.Accept(); d.Err() != nil {
		return d.Err()
	}
	if err := c.stream(u.staged, lit.Size); err != nil {
		return err
	}
	failed := u.staged.Finish()
	if d.Resume(); failed != nil {
		return failed
	}
	return d.Err()
}

// stream copies the bytes of a literal into the store. After a failure there the
// rest is still read, so that the client hears of it.
func (c *conn) stream(to *store.Staged, n int64) error {
	deadline := c.deadline
	defer func() { c.deadline = deadline }()
	var failed error
	for n > 0 {
		c.deadline = time.Now().Add(c.lim.StallTime)
		p, err := c.rd.Next(int(min(n, 1<<20)))
		if err != nil {
			return err
		}
		n -= int64(len(p))
		if failed == nil {
			_, failed = to.Write(p)
		}
	}
	if failed != nil {
		c.dec.Resume()
		return failed
	}
	return nil
}

// appendAll stores all messages of one APPEND in one transaction.
func (c *conn) appendAll(to *target, ups []upload) error {
	var validity uint32
	var uids store.UIDSet
	err := to.acct.Update(c.ctx, func(tx *store.Tx) error {
		uids = uids[:0]
		m, err := to.destination(&tx.View)
		if err != nil {
			return err
		}
		for _, u := range ups {
			a, err := tx.Append(m.ID, u.staged, u.opts)
			if err != nil {
				return err
			}
			for i := range u.notes {
				ch := &u.notes[i]
				if err := tx.SetMessageAnnotation(m.ID, a.UID, c.noteUser(ch), ch.name, ch.value); err != nil {
					return noteError(err)
				}
			}
			validity, uids = a.UIDValidity, addUID(uids, a.UID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.srv.stats.appended.Add(uint64(len(ups)))
	code := appendUint([]byte("APPENDUID "), uint64(validity)) // RFC 4315 §3
	c.okCode = string(uids.AppendTo(append(code, ' ')))
	return nil
}

// storable drops \Recent, which belongs to the server, and what the store keeps
// no flag for (RFC 9051 §2.3.2).
func storable(fs []mail.Flag) []mail.Flag {
	out := fs[:0]
	for _, f := range fs {
		if strings.ToLower(string(f)) != `\recent` {
			out = append(out, f)
		}
	}
	return out
}
