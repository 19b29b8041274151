package imap

import (
	"strconv"
	"strings"

	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// extObjectID is OBJECTID, RFC 8474: names of mailboxes, messages and
// conversations that stay when these are renamed, moved and copied.
var extObjectID = &extension{name: "OBJECTID", rfc: "RFC 8474",
	onSelect: func(c *conn, m *store.Mailbox) {
		c.untagged("OK [", string(appendMailboxID(nil, m)), "] id")
	},
	onCreate: func(c *conn, m *store.Mailbox) { c.okCode = string(appendMailboxID(nil, m)) },
	status: []statusItem{{"MAILBOXID", func(dst []byte, _ *conn, m *mailboxState) []byte {
		return append(appendMailboxNumber(append(dst, '('), m.Mailbox), ')')
	}}},
	fetch: []fetchItem{
		{name: "EMAILID", write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return append(appendUint(append(dst, "EMAILID (M"...), uint64(m.row.Email)), ')')
		}},
		{name: "THREADID", need: needRecord, write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return append(appendUint(append(dst, "THREADID (T"...), uint64(m.email.Thread)), ')')
		}},
	},
	search: []searchKey{
		{"EMAILID", objectKey('M', func(n uint64) search.Key { return search.EmailID(n) })},
		{"THREADID", objectKey('T', func(n uint64) search.Key { return search.ThreadID(n) })},
	},
}

// appendMailboxID appends MAILBOXID as a response code, RFC 8474 §4.1 and §4.2.
func appendMailboxID(dst []byte, m *store.Mailbox) []byte {
	return append(appendMailboxNumber(append(dst, "MAILBOXID ("...), m), ')')
}

// appendMailboxNumber appends the id of a mailbox. A mailbox that was deleted while
// it had children and is made anew keeps its number in the store, so the
// UIDVALIDITY is part of the id (RFC 8474 §4).
func appendMailboxNumber(dst []byte, m *store.Mailbox) []byte {
	dst = appendUint(append(dst, 'F'), uint64(m.ID))
	return appendUint(append(dst, '-'), uint64(m.UIDValidity))
}

// objectKey reads an objectid, RFC 8474 §6; one that names nothing matches nothing.
func objectKey(letter byte, key func(uint64) search.Key) readKey {
	return func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		d.SP()
		id := d.Astring()
		if !isObjectID(id) {
			d.Bad("bad object id")
		}
		if id == "" || id[0] != letter || strings.HasPrefix(id[1:], "0") {
			return search.UIDs(nil)
		}
		n, err := strconv.ParseUint(id[1:], 10, 64)
		if err != nil {
			return search.UIDs(nil)
		}
		return key(n)
	}
}

// isObjectID checks the grammar of RFC 8474 §7.
func isObjectID(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 255
}
