package imap

import (
	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// extCondstore is CONDSTORE, RFC 7162 §3.1: changes have numbers, and a client
// may make a change depend on there having been none since.
var extCondstore = &extension{name: "CONDSTORE", rfc: "RFC 7162",
	enable:       func(c *conn) { c.becomeAware() },
	onSelect:     func(c *conn, p *place) { c.sayHighest(p.Mailbox) },
	selectParams: []selectParam{{"CONDSTORE", func(_ *conn, _ *wire.Decoder, o *selectOptions) { o.condstore = true }}},
	status: []statusItem{{"HIGHESTMODSEQ", func(dst []byte, c *conn, m *mailboxState) []byte {
		c.dia.condstore = true // RFC 7162 §3.1.7
		return appendUint(dst, uint64(max(m.HighestModSeq, 1)))
	}}},
	fetch: []fetchItem{{name: "MODSEQ",
		read: func(c *conn, _ *wire.Decoder, _ *boundItem) { c.dia.condstore = true },
		write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return appendModSeq(dst, m.row.ModSeq)
		}}},
	fetchMods: []fetchMod{{"CHANGEDSINCE", func(c *conn, d *wire.Decoder, f *fetch) {
		d.SP()
		f.conditional, f.since = true, store.ModSeq(d.Number64())
		c.dia.condstore = true
	}}},
	storeMods: []storeMod{{"UNCHANGEDSINCE", func(c *conn, d *wire.Decoder, o *storeOptions) {
		d.SP()
		o.change.Conditional, o.change.UnchangedSince = true, store.ModSeq(d.Number64())
		c.dia.condstore = true
	}}},
	search: []searchKey{{"MODSEQ", readModSeqKey}},
}

// becomeAware is what a CONDSTORE-enabling command does (RFC 7162 §3.1): from
// then on the client is told ModSeqs, beginning with the one of the mailbox.
func (c *conn) becomeAware() {
	if c.dia.condstore {
		return
	}
	c.dia.condstore = true
	if c.state == stateSelected {
		c.ready()
		c.sayHighest(c.sel.told.Mailbox())
	}
}

// sayHighest tells the ModSeq of the mailbox, RFC 7162 §3.1.2.1.
func (c *conn) sayHighest(m *store.Mailbox) {
	c.say("* OK [HIGHESTMODSEQ ")
	c.out = appendUint(c.out, uint64(max(m.HighestModSeq, 1)))
	c.say("] highest\r\n")
}

// readModSeqKey reads MODSEQ with its optional entry, RFC 7162 §3.1.5. All flags
// of a message share a ModSeq here, so the entry makes no difference.
func readModSeqKey(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
	d.SP()
	if d.Peek() == '"' {
		_ = d.String()
		d.SP()
		if !d.TryWord("priv") && !d.TryWord("shared") && !d.TryWord("all") {
			d.Bad("expected priv, shared or all")
		}
		d.SP()
	}
	s.modseq = true
	c.dia.condstore = true
	return search.ModSeq(d.Number64())
}

// appendModSeq appends the MODSEQ item.
func appendModSeq(dst []byte, m store.ModSeq) []byte {
	return append(appendUint(append(dst, "MODSEQ ("...), uint64(m)), ')')
}

// sayModSeq tells the new ModSeq of a message, RFC 7162 §3.1.3.
func (c *conn) sayModSeq(seq uint32, row store.Row) {
	dst := c.dia.beginFetch(c.out, seq, row.UID)
	if c.uidInChanges() {
		dst = append(appendUint(append(dst, "UID "...), uint64(row.UID)), ' ')
	}
	c.out = append(appendModSeq(dst, row.ModSeq), ")\r\n"...)
}

// sayModified ends a conditional STORE that left messages alone: MODIFIED, RFC
// 7162 §3.1.3, as numbers of the kind that the command used.
func (c *conn) sayModified(uids store.UIDSet) error {
	code := []byte("MODIFIED ")
	if c.cmd.byUID {
		code = uids.AppendTo(code)
	} else {
		code = appendSpans(code, c.spansOf(uids))
	}
	c.okCode, c.okText = string(code), "some of the messages have changed"
	return nil
}

// spansOf gives the places of messages in the selection.
func (c *conn) spansOf(uids store.UIDSet) []span {
	out := make([]span, 0, len(uids))
	for _, r := range uids {
		lo, hi := bounds(c.sel.snap, r)
		out = append(out, span{lo, hi})
	}
	return joinSpans(out)
}

// appendSpans appends sequence numbers.
func appendSpans(dst []byte, spans []span) []byte {
	for i, s := range spans {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRange(dst, uint64(s.lo+1), uint64(s.hi))
	}
	return dst
}

// sayKnownModSeq tells up to which ModSeq the client knows all, as HIGHESTMODSEQ
// in the OK of the command: RFC 7162 §3.2.7 for EXPUNGE, and §3.2 where an EXPUNGE
// waits behind changes with higher ModSeqs, which would be lost if the connection
// were (the example of §6).
func (c *conn) sayKnownModSeq() {
	known := string(appendUint([]byte("HIGHESTMODSEQ "), uint64(c.sel.snap.Mailbox().HighestModSeq)))
	if c.okCode == "" && !c.idling {
		c.okCode = known
		return
	}
	c.untagged("OK [", known, "] all up to it is told")
}
