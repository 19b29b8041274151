package imap

import (
	"slices"
	"strings"

	"posthouse/imap/wire"
)

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
	var now []*extension
	c.say("* ENABLED")
	for _, x := range c.tab.extensions {
		if x.enable != nil && slices.Contains(want, strings.ToUpper(x.name)) {
			now = append(now, x)
			c.say(" ", x.name)
		}
	}
	c.say("\r\n")
	for _, x := range now { // some have more to say
		x.enable(c)
	}
	return nil
}
