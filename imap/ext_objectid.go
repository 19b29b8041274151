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
	onSelect: func(c *conn, p *place) {
		c.untagged("OK [", string(appendMailboxID(nil, p)), "] id")
	},
	onCreate: func(c *conn, p *place) { c.okCode = string(appendMailboxID(nil, p)) },
	status: []statusItem{{"MAILBOXID", func(dst []byte, _ *conn, m *mailboxState) []byte {
		return append(appendMailboxNumber(append(dst, '('), &m.place), ')')
	}}},
	fetch: []fetchItem{
		{name: "EMAILID", write: func(f *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return append(appendOwner(appendUint(append(dst, "EMAILID (M"...), uint64(m.row.Email)), f.c.sel.acct), ')')
		}},
		{name: "THREADID", need: needRecord, write: func(f *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
			return append(appendOwner(appendUint(append(dst, "THREADID (T"...), uint64(m.email.Thread)), f.c.sel.acct), ')')
		}},
	},
	search: []searchKey{
		{"EMAILID", objectKey('M', func(n uint64) search.Key { return search.EmailID(n) })},
		{"THREADID", objectKey('T', func(n uint64) search.Key { return search.ThreadID(n) })},
	},
}

// appendMailboxID appends MAILBOXID as a response code, RFC 8474 §4.1 and §4.2.
func appendMailboxID(dst []byte, m *place) []byte {
	return append(appendMailboxNumber(append(dst, "MAILBOXID ("...), m), ')')
}

// appendMailboxNumber appends the id of a mailbox. A mailbox that was deleted while
// it had children and is made anew keeps its number in the store, so the
// UIDVALIDITY is part of the id (RFC 8474 §4).
func appendMailboxNumber(dst []byte, m *place) []byte {
	dst = appendUint(append(dst, 'F'), uint64(m.ID))
	dst = appendUint(append(dst, '-'), uint64(m.UIDValidity))
	return appendOwner(dst, m.acct)
}

// appendOwner ends an id of what belongs to somebody else: numbers are an account's.
func appendOwner(dst []byte, acct *store.Account) []byte {
	if acct.Owned() {
		return dst
	}
	return appendUint(append(dst, "-A"...), uint64(acct.ID()))
}

// objectKey reads an objectid, RFC 8474 §6; one that names nothing matches nothing.
func objectKey(letter byte, key func(uint64) search.Key) readKey {
	return func(c *conn, d *wire.Decoder, s *searchCommand) search.Key {
		d.SP()
		id := d.Astring()
		if !isObjectID(id) {
			d.Bad("bad object id")
		}
		if c.state == stateSelected && !s.multi && !c.sel.acct.Owned() {
			owner := string(appendOwner(nil, c.sel.acct))
			if !strings.HasSuffix(id, owner) {
				return search.UIDs(nil)
			}
			id = strings.TrimSuffix(id, owner)
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
