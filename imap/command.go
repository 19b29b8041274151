package imap

import (
	"posthouse/imap/wire"
)

// A command is one row of the command table. What is true of a command (the
// states in which it is allowed, when changes may be told after it) is data in
// the row, so that run decides it in one place for all.
type command struct {
	name string
	in   state
	tell timing
	// byUID: it is a UID command, and every FETCH response that is sent while it
	// runs holds the UID (RFC 9051 §6.4.9).
	byUID bool
	// run reads its arguments to their end and then acts.
	run func(c *conn, d *wire.Decoder) error
}

type state uint8

// The states of RFC 9051 §3.
const (
	stateNotAuthenticated state = 1 << iota
	stateAuthenticated
	stateSelected
	stateLogout

	loggedIn = stateAuthenticated | stateSelected
	anyState = stateNotAuthenticated | loggedIn
)

// lookup reads the command's name, which for UID commands is two words.
func (t *tables) lookup(d *wire.Decoder) (*command, error) {
	name := d.Word()
	if d.Err() != nil {
		return nil, d.Err()
	}
	cmd := t.commands[string(name)]
	if cmd == nil && string(name) == "UID" && d.Try(' ') {
		cmd = t.commands["UID "+string(d.Word())]
	}
	if cmd == nil {
		return nil, bad("unknown command")
	}
	return cmd, nil
}

// allow reports why cmd may not run now, or nil.
func (c *conn) allow(cmd *command) error {
	if cmd.in&c.state != 0 {
		if c.dia.uidonly && c.tab.numbered(cmd) {
			return errUIDRequired
		}
		return nil
	}
	switch {
	case c.state == stateNotAuthenticated:
		return bad("log in first")
	case cmd.in&loggedIn == 0:
		return bad("already logged in")
	}
	return bad("select a mailbox first")
}
