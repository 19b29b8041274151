package imap

import (
	"posthouse/imap/wire"
	"posthouse/store"
)

// extQResync is QRESYNC, RFC 7162 §3.2: a client that comes back is told what
// changed, and what is gone, since it was last here.
var extQResync = &extension{name: "QRESYNC", rfc: "RFC 7162",
	enable: func(c *conn) {
		c.becomeAware()
		c.dia.qresync = true
	},
	selectParams: []selectParam{{"QRESYNC", readResync}},
	fetchMods: []fetchMod{{"VANISHED", func(c *conn, d *wire.Decoder, f *fetch) {
		if !c.dia.qresync || !c.cmd.byUID { // RFC 7162 §3.2.6
			d.Bad("VANISHED is for UID FETCH after ENABLE QRESYNC")
		}
		f.vanished = true
	}}},
}

// A resync is the QRESYNC parameter of SELECT, RFC 7162 §3.2.5.
type resync struct {
	validity uint32
	since    store.ModSeq
	known    []wire.Range // UIDs that the client has; nil: not said
	// matchSeqs and matchUIDs are places in the mailbox of which the client says
	// that they still held these UIDs when it last looked (§3.2.5.2).
	matchSeqs, matchUIDs []wire.Range
}

func readResync(c *conn, d *wire.Decoder, o *selectOptions) {
	if !c.dia.qresync {
		d.Bad("ENABLE QRESYNC first") // RFC 7162 §3.2.5
		return
	}
	r := &resync{}
	d.SP()
	d.Open()
	r.validity = d.NzNumber()
	d.SP()
	r.since = store.ModSeq(d.Number64())
	if d.Try(' ') {
		if d.Peek() != '(' {
			r.known = knownUIDs(d)
		}
		if d.Peek() == '(' || d.Try(' ') {
			if c.dia.uidonly { // RFC 9586 §3.7
				d.Fail(errUIDRequired)
			}
			d.Open()
			r.matchSeqs = knownUIDs(d)
			d.SP()
			r.matchUIDs = knownUIDs(d)
			d.Close()
		}
	}
	d.Close()
	o.qresync = r
}

// knownUIDs reads a sequence-set that names real messages: no "*", no "$".
func knownUIDs(d *wire.Decoder) []wire.Range {
	s := d.NumSet()
	if s.Saved {
		d.Bad("$ makes no sense here")
	}
	for _, r := range s.Ranges {
		if r.First == wire.Star || r.Last == wire.Star {
			d.Bad("* makes no sense here")
		}
	}
	return s.Ranges
}

// vanished finds what is gone since the client was here, as far as it cares. A
// nil resync asks for nothing.
func (r *resync) vanished(v *store.View, snap *store.Snapshot) (store.UIDSet, error) {
	if r == nil || r.validity != snap.Mailbox().UIDValidity {
		return nil, nil
	}
	gone, err := v.Vanished(snap.Mailbox().ID, r.since)
	if err != nil {
		return nil, err
	}
	if r.known != nil {
		gone = gone.Intersect(uidRanges(r.known))
	}
	if last := r.agreed(snap); last > 0 {
		gone = gone.Subtract(store.UIDSet{{First: 1, Last: last}})
	}
	return gone, nil
}

// agreed is the largest UID up to which the client's idea of the mailbox is still
// true by its sequence match data: what is below it need not be told (§3.2.5.2).
func (r *resync) agreed(snap *store.Snapshot) (last store.UID) {
	seqs, uids := numbersOf(r.matchSeqs), numbersOf(r.matchUIDs)
	for {
		seq, ok1 := seqs()
		uid, ok2 := uids()
		if !ok1 || !ok2 || int(seq) > snap.Len() || snap.UID(int(seq)-1) != store.UID(uid) {
			return last
		}
		last = store.UID(uid)
	}
}

// numbersOf yields the numbers of ascending ranges one after another, without
// expanding them. A mismatch ends the walk, and a match is at most a mailbox long.
func numbersOf(rs []wire.Range) func() (uint32, bool) {
	i, next := 0, uint32(0)
	return func() (uint32, bool) {
		for i < len(rs) {
			first, last := min(rs[i].First, rs[i].Last), max(rs[i].First, rs[i].Last)
			next = max(next, first)
			if next <= last {
				n := next
				if next++; next == 0 {
					i = len(rs)
				}
				return n, true
			}
			i++
		}
		return 0, false
	}
}

// resume tells a client that comes back what it missed: VANISHED (EARLIER) and the
// flags that changed, RFC 7162 §3.2.5.1.
func (r *resync) resume(c *conn, gone store.UIDSet) error {
	snap := c.sel.snap
	if r == nil || r.validity != snap.Mailbox().UIDValidity {
		return nil
	}
	if len(gone) > 0 {
		c.sayVanished(gone)
	}
	if snap.Mailbox().HighestModSeq <= r.since {
		return nil
	}
	all := store.UIDSet{{First: 1, Last: ^store.UID(0)}}
	if r.known != nil {
		all = uidRanges(r.known)
	}
	for _, known := range all {
		lo, hi := bounds(snap, known)
		for i, row := range snap.ChangedAfter(r.since, lo, hi) {
			c.sayFlags(uint32(i+1), snap, row)
			if err := c.drain(); err != nil {
				return err
			}
		}
	}
	return nil
}

// sayVanished tells of messages that went before, RFC 7162 §3.2.10.1.
func (c *conn) sayVanished(gone store.UIDSet) {
	c.say("* VANISHED (EARLIER) ")
	c.out = gone.AppendTo(c.out)
	c.say("\r\n")
}

// sayVanishedEarlier is the VANISHED modifier of UID FETCH, RFC 7162 §3.2.6.
func (c *conn) sayVanishedEarlier(set wire.NumSet, since store.ModSeq) error {
	if since == 0 {
		return bad("VANISHED wants CHANGEDSINCE")
	}
	want := c.sel.saved
	if !set.Saved {
		want = uidRanges(set.Ranges)
	}
	var gone store.UIDSet
	err := c.sel.acct.View(c.ctx, func(v *store.View) error {
		all, err := v.Vanished(c.sel.mailbox, since)
		if err != nil {
			return err
		}
		cur, err := v.Snapshot(c.sel.mailbox)
		if err != nil {
			return err
		}
		// What the client does not know to be gone yet is told at the end.
		gone = all.Intersect(want).Subtract(store.Diff(c.sel.snap, cur).Expunged)
		return nil
	})
	if err != nil {
		return c.gone(err)
	}
	if len(gone) > 0 {
		c.sayVanished(gone)
	}
	return nil
}

// uidRanges makes a set of ranges as a client wrote them; "*" is the largest UID.
func uidRanges(rs []wire.Range) store.UIDSet {
	out := make(store.UIDSet, 0, len(rs))
	for _, r := range rs {
		first, last := store.UID(r.First), store.UID(r.Last)
		if r.First == wire.Star {
			first = ^store.UID(0)
		}
		if r.Last == wire.Star {
			last = ^store.UID(0)
		}
		out = append(out, store.UIDRange{First: min(first, last), Last: max(first, last)})
	}
	return normal(out)
}
