package imap

import (
	"time"

	"posthouse/imap/wire"
	"posthouse/search"
)

// extSaveDate is SAVEDATE: when a message entered this mailbox, RFC 8514 §4.
var extSaveDate = &extension{name: "SAVEDATE", rfc: "RFC 8514",
	fetch: []fetchItem{{name: "SAVEDATE", write: func(_ *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return wire.AppendDateTime(append(dst, "SAVEDATE "...), m.row.SaveDate)
	}}},
	search: []searchKey{
		{"SAVEDBEFORE", dateKey(func(t time.Time) search.Key { return search.Saved{To: t} })},
		{"SAVEDON", dateKey(func(t time.Time) search.Key { return search.Saved{From: t, To: t.AddDate(0, 0, 1)} })},
		{"SAVEDSINCE", dateKey(func(t time.Time) search.Key { return search.Saved{From: t} })},
		{"SAVEDATESUPPORTED", func(*conn, *wire.Decoder, *searchCommand) search.Key { return search.All{} }},
	},
}
