package imap

import (
	"posthouse/imap/wire"
	"posthouse/search"
	"posthouse/store"
)

// extMessageLimit is MESSAGELIMIT: a command takes no more than so many messages, the
// newest ones, and says where it stopped, RFC 9738. Clients that do not know it would
// take the others for deleted, so it is offered only where an operator sets the limit.
var extMessageLimit = &extension{name: "MESSAGELIMIT", rfc: "RFC 9738",
	when: func(o *Options) bool { return o.Limits.Messages < noLimit },
	caps: func(c *conn, dst []byte) []byte {
		return appendUint(append(dst, " MESSAGELIMIT="...), uint64(c.lim.Messages))
	},
	search: []searchKey{
		{"UIDAFTER", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
			d.SP()
			if n := d.NzNumber(); n < 1<<32-1 {
				return search.UIDs{{First: store.UID(n) + 1, Last: 1<<32 - 1}}
			}
			return search.UIDs(nil)
		}},
		{"UIDBEFORE", func(_ *conn, d *wire.Decoder, _ *searchCommand) search.Key {
			d.SP()
			if n := d.NzNumber(); n > 1 {
				return search.UIDs{{First: 1, Last: store.UID(n) - 1}}
			}
			return search.UIDs(nil)
		}},
	},
}

// newest leaves of spans the newest messages, as many as a command may take, and
// notes where it stopped.
func (c *conn) newest(spans []span) []span {
	over := spanned(spans) - c.lim.Messages
	if over <= 0 {
		return spans
	}
	for len(spans) > 0 && over >= spans[0].hi-spans[0].lo {
		over -= spans[0].hi - spans[0].lo
		spans = spans[1:]
	}
	spans[0].lo += over
	c.stopped = c.sel.snap.UID(spans[0].lo)
	return spans
}

// tooMany refuses what cannot be done by halves.
func (c *conn) tooMany(n int) error {
	if n <= c.lim.Messages {
		return nil
	}
	return no(c.limitCode(0), "too many messages for one command")
}

// limitCode is the response code; lowest is the last message that was taken.
func (c *conn) limitCode(lowest store.UID) string {
	code := appendUint([]byte("MESSAGELIMIT "), uint64(c.lim.Messages))
	if lowest > 0 {
		code = appendUint(append(code, ' '), uint64(lowest))
	}
	return string(code)
}

// sayStopped tells that a command took only the newest messages.
func (c *conn) sayStopped() {
	switch code := c.limitCode(c.stopped); {
	case c.stopped == 0:
	case c.okCode == "":
		c.okCode, c.okText = code, "only the newest messages were taken"
	default:
		c.untagged("NO [", code, "] only the newest messages were taken")
	}
	c.stopped = 0
}

// findWhole is find for results that make no sense in part: SORT and THREAD.
func (c *conn) findWhole(s *searchCommand, key search.Key) error {
	if err := c.find(s, key); err != nil || c.stopped == 0 {
		return err
	}
	c.stopped = 0
	return no(c.limitCode(0), "too many messages for one command")
}

// window is where a search begins: it looks at no more messages than it may, of those
// that the keys at its top leave.
func (c *conn) window(cur *store.Snapshot, key search.Key) (lo int) {
	most := c.lim.Messages
	if cur.Len() <= most {
		return 0
	}
	left := store.UIDSet{{First: 1, Last: 1<<32 - 1}}
	if and, ok := key.(search.And); ok {
		for _, k := range and {
			if uids, ok := k.(search.UIDs); ok {
				left = left.Intersect(store.UIDSet(uids))
			}
		}
	}
	for i := len(left) - 1; i >= 0; i-- {
		a, b := bounds(cur, left[i])
		if b-a > most {
			c.stopped = cur.UID(b - most)
			return b - most
		}
		if most -= b - a; most == 0 && i > 0 && a > 0 {
			if rest := countRows(cur, left[:i]); rest > 0 {
				c.stopped = cur.UID(a)
			}
			return a
		}
	}
	return 0
}
