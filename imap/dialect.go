package imap

import (
	"strings"
	"unicode/utf8"

	"posthouse/imap/wire"
	"posthouse/store"
)

// A dialect is how one connection spells messages and mailboxes. All responses
// that number a message or name a mailbox go through it, so that an extension
// that changes the spelling changes it once.
type dialect struct {
	rev2      bool // IMAP4rev2 was enabled: UTF-8 names, no RECENT, ESEARCH (RFC 9051 §6.3.1)
	condstore bool // the client is aware of ModSeqs, RFC 7162 §3.1
	qresync   bool // VANISHED instead of EXPUNGE, RFC 7162 §3.2.3
	uidonly   bool // UIDs instead of sequence numbers, RFC 9586 §3

	utf8accept bool // RFC 6855 §3
}

// utf8 reports whether strings may be sent and are taken as UTF-8.
func (d dialect) utf8() bool { return d.rev2 || d.utf8accept }

// beginFetch starts the FETCH response for a message.
func (d dialect) beginFetch(dst []byte, seq uint32, uid store.UID) []byte {
	dst = append(dst, "* "...)
	if d.uidonly {
		return append(appendUint(dst, uint64(uid)), " UIDFETCH ("...)
	}
	dst = appendUint(dst, uint64(seq))
	return append(dst, " FETCH ("...)
}

// vanished reports that the messages of set, which old holds, are gone.
func (d dialect) vanished(dst []byte, old *store.Snapshot, set store.UIDSet) []byte {
	if d.qresync || d.uidonly {
		dst = append(dst, "* VANISHED "...)
		return append(set.AppendTo(dst), "\r\n"...)
	}
	for i := len(set) - 1; i >= 0; i-- { // from the end: no number shifts one that follows
		lo, hi := bounds(old, set[i])
		for n := hi; n > lo; n-- {
			dst = append(dst, "* "...)
			dst = appendUint(dst, uint64(n))
			dst = append(dst, " EXPUNGE\r\n"...)
		}
	}
	return dst
}

// appendMailbox appends the name of a mailbox.
func (d dialect) appendMailbox(dst []byte, path string) []byte {
	if d.utf8() {
		return wire.AppendAstring(dst, path, true)
	}
	return wire.AppendAstring(dst, wire.EncodeUTF7(path), false)
}

// mailbox reads the name of a mailbox. A separator at its end says that it may have
// children (RFC 9051 §6.3.4): some clients write it everywhere.
func (c *conn) mailbox(d *wire.Decoder) string {
	path := c.path(d, d.Astring())
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// path makes of a name as the client spells it one as the store does.
func (c *conn) path(d *wire.Decoder, name string) string {
	if d.Err() != nil {
		return ""
	}
	if !c.dia.utf8() {
		plain, ok := wire.DecodeUTF7(name)
		if !ok {
			d.Fail(no("CANNOT", "the mailbox name is not modified UTF-7"))
			return ""
		}
		name = plain
	} else if !utf8.ValidString(name) {
		d.Fail(no("CANNOT", "the mailbox name is not UTF-8"))
		return ""
	}
	return name
}
