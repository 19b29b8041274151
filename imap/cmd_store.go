package imap

import (
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A storeMod is a modifier of STORE, RFC 4466 §2.5.
type storeMod struct {
	name string
	read func(c *conn, d *wire.Decoder, s *storeOptions)
}

// storeOptions are what a STORE asks for.
type storeOptions struct {
	change store.FlagChange
	silent bool
	// run, if set, does what another item than FLAGS asks for.
	run func(c *conn, spans []span, o *storeOptions) error
}

// A storeItem is something else than FLAGS that STORE changes. It reads what stands
// behind its name and sets run.
type storeItem struct {
	name string
	read func(c *conn, d *wire.Decoder, o *storeOptions)
}

// storeCmd is STORE and UID STORE, RFC 9051 §6.4.6.
func (c *conn) storeCmd(d *wire.Decoder) error {
	var o storeOptions
	d.SP()
	set := d.NumSet()
	d.SP()
	if d.Peek() == '(' {
		d.List(func() {
			if m := c.tab.storeMods[string(d.Word())]; m != nil {
				m.read(c, d, &o)
			} else {
				d.Bad("unknown STORE modifier")
			}
		})
		d.SP()
	}
	c.readOperation(d, &o)
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if c.sel.readOnly {
		return errReadOnly
	}
	spans, err := c.numbers(set, c.cmd.byUID)
	if err != nil || len(spans) == 0 {
		return err
	}
	if o.run != nil {
		return o.run(c, c.newest(spans), &o)
	}
	return c.store(c.newest(spans), &o)
}

// readOperation reads what to do with which flags.
func (c *conn) readOperation(d *wire.Decoder, o *storeOptions) {
	switch {
	case d.Try('+'):
		o.change.Op = store.FlagsAdd
	case d.Try('-'):
		o.change.Op = store.FlagsRemove
	}
	var word string
	word, o.silent = strings.CutSuffix(string(d.Word()), ".SILENT")
	if d.SP(); word != "FLAGS" {
		if x := c.tab.storeItems[word]; x != nil {
			x.read(c, d, o)
		} else {
			d.Bad("unknown STORE item")
		}
		return
	}
	var fs []mail.Flag
	if d.Peek() == '(' {
		fs = d.Flags()
	} else {
		fs = append(fs, d.Flag())
		for d.Try(' ') {
			fs = append(fs, d.Flag())
		}
	}
	o.change.Flags = storable(fs)
	if len(o.change.Flags) != len(fs) && d.Err() == nil {
		d.Bad(`\Recent is not set by clients`) // RFC 3501 §2.3.2
	}
}

// store changes flags and says what became of them. Changes by others that came
// between are told by sync, also to a client that asked for silence: it could
// not know the outcome.
func (c *conn) store(spans []span, o *storeOptions) error {
	uids := c.uids(spans)
	var before *store.Snapshot
	var changed, modified store.UIDSet
	err := c.sel.acct.Update(c.ctx, func(tx *store.Tx) (err error) {
		if before, err = tx.Snapshot(c.sel.mailbox); err != nil {
			return c.gone(err)
		}
		changed, modified, err = tx.SetFlags(c.sel.mailbox, uids, o.change)
		return err
	})
	if err != nil {
		return err
	}
	cur, err := c.current()
	if err != nil {
		return err
	}
	c.ready()
	c.sayKeywords(cur)
	echo := uids.Subtract(modified)
	if o.silent {
		echo = changed.Subtract(store.Diff(c.sel.told, before).Changed)
	}
	if err := c.sayStored(cur, echo, o.silent); err != nil {
		return err
	}
	c.echo = echo
	if len(modified) > 0 {
		return c.sayModified(modified)
	}
	if !c.cmd.byUID && uint64(spanned(spans)) > countRows(cur, uids) {
		c.okCode, c.okText = "EXPUNGEISSUED", "some of the messages are gone"
	}
	return nil
}

func spanned(spans []span) (n int) {
	for _, s := range spans {
		n += s.hi - s.lo
	}
	return n
}

// countRows is the number of messages of set that snap holds.
func countRows(snap *store.Snapshot, set store.UIDSet) (n uint64) {
	for _, r := range set {
		lo, hi := bounds(snap, r)
		n += uint64(hi - lo)
	}
	return n
}

// sayStored tells the flags of messages after a STORE. A silent one tells at most
// their new ModSeqs, RFC 7162 §3.1.3.
func (c *conn) sayStored(cur *store.Snapshot, uids store.UIDSet, silent bool) error {
	if silent && !c.dia.condstore {
		return nil
	}
	for i, row := range rowsOf(cur, uids) {
		seq, known := c.seqOf(row.UID, i)
		if !known {
			continue
		}
		if silent {
			c.sayModSeq(seq, row)
		} else {
			c.sayFlags(seq, cur, row)
		}
		if err := c.drain(); err != nil {
			return err
		}
	}
	return nil
}
