package imap

import (
	"posthouse/imap/wire"
)

// Extensions that only announce what the grammar or LIST does in any case.
var (
	extLiteralPlus = &extension{name: "LITERAL+", rfc: "RFC 7888", early: true}
	extSASLIR      = &extension{name: "SASL-IR", rfc: "RFC 4959", early: true}
	extChildren    = &extension{name: "CHILDREN", rfc: "RFC 3348"}
	extUIDPlus     = &extension{name: "UIDPLUS", rfc: "RFC 4315",
		commands: []command{{"UID EXPUNGE", stateSelected, tellAll, true, (*conn).uidExpunge}},
	}
)

var extUnselect = &extension{name: "UNSELECT", rfc: "RFC 3691",
	commands: []command{{"UNSELECT", stateSelected, tellNothing, false, func(c *conn, d *wire.Decoder) error {
		if d.End(); d.Err() == nil { // RFC 3691 §2: CLOSE that expunges nothing
			c.unselect()
		}
		return d.Err()
	}}},
}

var extNamespace = &extension{name: "NAMESPACE", rfc: "RFC 2342",
	commands: []command{{"NAMESPACE", loggedIn, tellAll, false, func(c *conn, d *wire.Decoder) error {
		if d.End(); d.Err() == nil && c.srv.opts.Neighbours == nil { // RFC 2342 §5
			c.untagged(`NAMESPACE (("" "/")) NIL NIL`)
		} else if d.Err() == nil {
			c.untagged(`NAMESPACE (("" "/")) (("`, othersPrefix, `" "/")) (("`, sharedPrefix, `" "/"))`)
		}
		return d.Err()
	}}},
}
