package imap

import "posthouse/imap/wire"

// extUTF8 is UTF8=ACCEPT, RFC 6855 §3: names and strings as UTF-8. Whoever enabled
// IMAP4rev2 has them already. A header in UTF-8 is taken from anyone, against RFC 6855 §4:
// who moves old mail here must not lose any of it.
var extUTF8 = &extension{name: "UTF8=ACCEPT", rfc: "RFC 6855",
	enable: func(c *conn) { c.dia.utf8accept = true },
	appendData: []appendData{{"UTF8", func(c *conn, d *wire.Decoder, u *upload, left int64) error {
		if !c.dia.utf8() {
			return bad("ENABLE UTF8=ACCEPT first")
		}
		d.SP()
		d.Expect('(')
		if d.Peek() != '~' {
			d.Bad("UTF8 wants a literal8") // RFC 6855 §4
		}
		if err := c.receiveLiteral(d, u, left); err != nil {
			return err
		}
		d.Expect(')')
		return d.Err()
	}}},
}
