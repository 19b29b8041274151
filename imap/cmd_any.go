package imap

import "posthouse/imap/wire"

// anyCommands are those of RFC 9051 §6.1.
var anyCommands = []command{
	{"CAPABILITY", anyState, tellAll, false, (*conn).capability},
	{"NOOP", anyState, tellAll, false, (*conn).noop},
	{"LOGOUT", anyState, tellNothing, false, (*conn).logout},
}

// CAPABILITY, RFC 9051 §6.1.1.
func (c *conn) capability(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	c.say("* CAPABILITY")
	c.out = c.appendCaps(c.out)
	c.say("\r\n")
	return nil
}

// appendCaps appends the capabilities of the moment, each behind a space.
func (c *conn) appendCaps(dst []byte) []byte {
	for _, x := range c.tab.extensions {
		switch {
		case !x.early && c.state == stateNotAuthenticated:
		case x.caps != nil:
			dst = x.caps(c, dst)
		case x.name != "":
			dst = append(append(dst, ' '), x.name...)
		}
	}
	return dst
}

// NOOP, RFC 9051 §6.1.2: a time to be told of changes.
func (c *conn) noop(d *wire.Decoder) error {
	d.End()
	return d.Err()
}

// LOGOUT, RFC 9051 §6.1.3.
func (c *conn) logout(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	c.untagged("BYE until next time")
	c.unselect()
	c.state = stateLogout
	return nil
}
