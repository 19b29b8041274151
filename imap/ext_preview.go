package imap

import "posthouse/imap/wire"

// extPreview is PREVIEW: the first words of a message, RFC 8970 §3. They were made
// when it was stored, so LAZY (§4.1) gets them too.
var extPreview = &extension{name: "PREVIEW", rfc: "RFC 8970",
	fetch: []fetchItem{{"PREVIEW", needRecord, readLazy, func(f *fetch, m *fetched, _ *boundItem, dst []byte) []byte {
		return wire.AppendString(append(dst, "PREVIEW "...), string(m.email.Preview), f.c.dia.utf8())
	}}},
}

// readLazy reads preview modifiers. A list behind an item that stands alone may
// also be the modifiers of FETCH: the word in it tells.
func readLazy(_ *conn, d *wire.Decoder, _ *boundItem) {
	const lazy = " (LAZY"
	for i := range len(lazy) {
		if c := d.PeekAt(i); c != lazy[i] && c != lazy[i]|0x20 {
			return
		}
	}
	d.SP()
	d.List(func() {
		if string(d.Word()) != "LAZY" {
			d.Bad("unknown PREVIEW modifier")
		}
	})
}
