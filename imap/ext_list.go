package imap

import "posthouse/imap/wire"

// extListExtended is LIST-EXTENDED, RFC 5258 §3.
var extListExtended = &extension{name: "LIST-EXTENDED", rfc: "RFC 5258",
	listSelect: []listOption{
		{"SUBSCRIBED", func(_ *conn, _ *wire.Decoder, o *listOptions) { o.subscribed, o.independent = true, true }},
		{"REMOTE", func(*conn, *wire.Decoder, *listOptions) {}}, // there are none
		{"RECURSIVEMATCH", func(_ *conn, _ *wire.Decoder, o *listOptions) { o.recursive = true }},
	},
	listReturn: []listOption{
		{"SUBSCRIBED", func(_ *conn, _ *wire.Decoder, o *listOptions) { o.tellSubscribed = true }},
		{"CHILDREN", func(*conn, *wire.Decoder, *listOptions) {}}, // always told
	},
}

// extListStatus is LIST-STATUS, RFC 5819 §2.
var extListStatus = &extension{name: "LIST-STATUS", rfc: "RFC 5819",
	listReturn: []listOption{{"STATUS", func(c *conn, d *wire.Decoder, o *listOptions) {
		d.SP()
		o.status = c.readStatusItems(d)
	}}},
}

// extSpecialUse is SPECIAL-USE, RFC 6154 §2.
var extSpecialUse = &extension{name: "SPECIAL-USE", rfc: "RFC 6154",
	listSelect: []listOption{{"SPECIAL-USE", func(_ *conn, _ *wire.Decoder, o *listOptions) { o.special, o.independent = true, true }}},
	listReturn: []listOption{{"SPECIAL-USE", func(*conn, *wire.Decoder, *listOptions) {}}}, // always told
}
