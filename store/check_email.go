package store

import (
	"encoding/binary"
	"errors"
	"slices"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store/engine"
)

// dying: what waits for the reaper is well-formed and not alive.
func (c *checker) dying() error {
	// Keys of the index go after the records: an older view of it has them still.
	g := c.store.eng.Snapshot(0)
	defer g.Close()
	fresh := c.store.eng.Snapshot(c.id)
	defer fresh.Close()
	return c.scan(keyDead, deadKeyLen-1, func(k, v []byte) error {
		if ok, err := reapable(g, c.id, int64(binary.BigEndian.Uint64(k))); err != nil {
			return err
		} else if _, err := fresh.Get(append([]byte{keyDead}, k...)); !ok && err == nil {
			c.faultf("the reaper does not know of what was expunged at %d", binary.BigEndian.Uint64(k))
		}
		return decodeDead(v, func(x *deads) {
			i := 0
			for u := range x.uids.All() {
				d := member{x.emails[i], x.mailbox, u}
				if c.live[d] {
					c.faultf("mailbox %d: UID %d is there and waits for the reaper", x.mailbox, u)
				}
				if x.flags != nil && int(x.flags[i]) >= len(c.st.flags.sets) {
					c.faultf("mailbox %d: UID %d waits for the reaper with flags %d, which do not exist", x.mailbox, u, x.flags[i])
				}
				c.dead[d] = true
				c.gone[Membership{x.mailbox, u}] = true
				i++
			}
		})
	})
}

// records: every email record decodes and its bytes are there.
func (c *checker) records() error {
	err := c.scan(keyEmail, 8, func(k, v []byte) error {
		id := EmailID(binary.BigEndian.Uint64(k))
		e := new(Email)
		if err := decodeEmail(e, id, slices.Clone(v)); err != nil {
			c.faultf("email %d: %v", id, err)
			return nil
		}
		if _, err := e.Message(); err != nil {
			c.faultf("email %d: part table: %v", id, err)
		}
		if id == 0 || id >= c.st.hdr.nextEmail {
			c.faultf("email %d was never given", id)
		}
		c.emails[id] = e
		return c.bytes(e)
	})
	if err != nil {
		return err
	}
	for m := range c.live {
		if c.emails[m.email] == nil {
			c.faultf("mailbox %d: UID %d is email %d, which has no record", m.mailbox, m.uid, m.email)
		}
	}
	for id, have := range c.content {
		for _, e := range have.dir {
			for j := range e.c.cols.uid {
				if r := e.c.row(j); c.emails[r.Email] != nil && c.emails[r.Email].Size != int64(r.Size) {
					c.faultf("mailbox %d: UID %d has %d bytes, its record says %d", id, r.UID, r.Size, c.emails[r.Email].Size)
				}
			}
		}
	}
	return nil
}

// bytes checks that the bytes of an email can be read.
func (c *checker) bytes(e *Email) error {
	var size int64
	r, err := c.store.eng.OpenBlob(c.ctx, e.blob)
	if err == nil {
		size = r.Size()
		r.Close()
	}
	if err == nil && c.deep {
		var b []byte
		b, err = c.store.eng.ReadBlob(c.ctx, nil, e.blob)
		size = int64(len(b))
		if header, _, terr := message.TableTop(e.table); err == nil && terr == nil && len(e.fields) > 0 &&
			(header.End > size || !message.FieldsFit(e.fields, b[:header.End], e.Envelope)) {
			c.faultf("email %d: its header fields are not those of its bytes", e.ID)
		}
	}
	switch {
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, engine.ErrCorrupt), mail.KindOf(err) == mail.Corrupt:
		c.faultf("email %d: bytes: %v", e.ID, err)
		return nil
	case err != nil:
		return err
	}
	if size+int64(len(e.Prefix)) != e.Size {
		c.faultf("email %d: %d bytes stored behind %d of prefix, record says %d", e.ID, size, len(e.Prefix), e.Size)
	}
	return nil
}

// members: R and r records are the messages of the mailboxes and those that wait for
// the reaper, each once, and nothing else.
func (c *checker) members() error {
	have := map[member]bool{}
	record := func(m member) {
		switch {
		case have[m]:
			c.faultf("email %d is said twice to be UID %d of mailbox %d", m.email, m.uid, m.mailbox)
		case !c.live[m] && !c.dead[m]:
			c.faultf("email %d is said to be UID %d of mailbox %d, but is not there", m.email, m.uid, m.mailbox)
		}
		have[m] = true
		c.owned[m.email]++
	}
	err := c.scan(keyMember, memberKeyLen-1, func(k, _ []byte) error {
		record(member{EmailID(binary.BigEndian.Uint64(k)), MailboxID(binary.BigEndian.Uint64(k[8:])), UID(binary.BigEndian.Uint32(k[16:]))})
		return nil
	})
	if err != nil {
		return err
	}
	err = c.scan(keyRuns, runsKeyLen-1, func(k, v []byte) error {
		m, err := decodeMembers(k, v)
		if err != nil {
			c.faultf("memberships of block %d in mailbox %d: %v", m.block, m.mailbox, err)
			return nil
		}
		if !c.st.hdr.blocks {
			c.faultf("the account does not know of its memberships of block %d", m.block)
		}
		m.each(func(e EmailID, u UID) bool {
			record(member{e, m.mailbox, u})
			return true
		})
		return nil
	})
	if n := len(c.live) + len(c.dead); len(have) < n {
		c.faultf("%d memberships recorded, %d exist", len(have), n)
	}
	for id := range c.emails {
		if c.owned[id] == 0 {
			c.faultf("email %d is in no mailbox and waits for no reaper", id)
		}
	}
	return err
}

// threads: each email is a member of its thread, and its references lead to one.
func (c *checker) threads() error {
	refs := map[uint64]bool{}
	err := c.scan(keyReference, 8, func(k, v []byte) error {
		if t := binary.BigEndian.Uint64(append(v, make([]byte, 8)...)); len(v) != 8 || t == 0 || t >= uint64(c.st.hdr.nextEmail) {
			c.faultf("reference %x leads to no thread", k)
		}
		refs[binary.BigEndian.Uint64(k)] = true
		return nil
	})
	if err != nil {
		return err
	}
	n := 0
	err = c.scan(keyThread, 16, func(k, _ []byte) error {
		t, id := ThreadID(binary.BigEndian.Uint64(k)), EmailID(binary.BigEndian.Uint64(k[8:]))
		if e := c.emails[id]; e == nil || e.Thread != t {
			c.faultf("email %d is listed in thread %d, but does not belong to it", id, t)
		}
		n++
		return nil
	})
	if n != len(c.emails) {
		c.faultf("threads list %d emails of %d", n, len(c.emails))
	}
	for id, e := range c.emails {
		for _, h := range e.references {
			if !refs[h] {
				c.faultf("email %d: reference %x is not recorded", id, h)
			}
		}
	}
	return err
}
