package imap

import "posthouse/imap/wire"

var extEnable = &extension{name: "ENABLE", rfc: "RFC 5161", early: true,
	commands: []command{{"ENABLE", loggedIn, tellAll, false, (*conn).enable}},
}

// ENABLE, RFC 5161 §3.1: names that are unknown or cannot be enabled are ignored.
func (c *conn) enable(d *wire.Decoder) error {
	var want []string
	for !d.AtEnd() {
		d.SP()
		want = append(want, string(d.Word()))
	}
	if len(want) == 0 {
		d.Bad("ENABLE wants a capability")
	}
	if d.Err() != nil {
		return d.Err()
	}
	c.say("* ENABLED")
	for i, x := range c.srv.tables.extensions {
		if x.enable == nil || !holds(want, upper(x.name)) {
			continue
		}
		c.srv.tables.extensions[i].enable(c)
		c.say(" ", x.name)
	}
	c.say("\r\n")
	return nil
}
