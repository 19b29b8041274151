package imap

import (
	"posthouse/imap/wire"
)

// extJMAPAccess is JMAPACCESS: where the same mail is to be had by JMAP, under the
// same ids, RFC 9698.
var extJMAPAccess = &extension{name: "JMAPACCESS", rfc: "RFC 9698",
	when: func(o *Options) bool { return o.JMAP != "" },
	commands: []command{{"GETJMAPACCESS", loggedIn, tellAll, false, func(c *conn, d *wire.Decoder) error {
		if d.End(); d.Err() != nil {
			return d.Err()
		}
		c.say("* JMAPACCESS ")
		c.out = append(wire.AppendString(c.out, c.srv.opts.JMAP, false), "\r\n"...)
		return nil
	}}},
}
