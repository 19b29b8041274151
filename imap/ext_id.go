package imap

import (
	"strings"

	"posthouse/imap/wire"
)

var extID = &extension{name: "ID", rfc: "RFC 2971", early: true,
	commands: []command{{"ID", anyState, tellAll, false, (*conn).id}},
}

// maxIDPairs is the number of field-value pairs, RFC 2971 §3.3.
const maxIDPairs = 30

// ID, RFC 2971 §3.1. What a client says of itself goes to the log.
func (c *conn) id(d *wire.Decoder) error {
	var name, version string
	d.SP()
	if !d.TryWord("NIL") {
		n := 0
		d.List(func() {
			field := d.String()
			d.SP()
			value, _ := d.Nstring()
			switch strings.ToLower(field) {
			case "name":
				name = value
			case "version":
				version = value
			}
			if n++; n > maxIDPairs {
				d.Bad("too many fields")
			}
		})
	}
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if name != "" {
		c.tab = c.srv.tablesFor(name, version)
		c.log.Debug("imap: client", "tid", c.trace, "name", name[:min(30, len(name))], "version", version[:min(30, len(version))])
	}
	c.say(`* ID ("name" "Posthouse"`)
	if v := c.srv.opts.Version; v != "" {
		c.say(` "version" `)
		c.out = wire.AppendString(c.out, v, false)
	}
	c.say(")\r\n")
	return nil
}
