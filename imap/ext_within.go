package imap

import (
	"time"

	"posthouse/imap/wire"
	"posthouse/search"
)

// extWithin is WITHIN: messages by their age in seconds, RFC 5032 §3.
var extWithin = &extension{name: "WITHIN", rfc: "RFC 5032",
	search: []searchKey{
		{"OLDER", ageKey(func(t time.Time) search.Key { return search.Received{To: t.Add(time.Second)} })},
		{"YOUNGER", ageKey(func(t time.Time) search.Key { return search.Received{From: t} })},
	},
}

// ageKey reads an interval and gives the moment that lies so far back; both keys
// include it.
func ageKey(key func(time.Time) search.Key) readKey {
	return func(c *conn, d *wire.Decoder, _ *searchCommand) search.Key {
		d.SP()
		age := d.NzNumber()
		return key(time.Unix(c.srv.opts.Now().Unix()-int64(age), 0))
	}
}
