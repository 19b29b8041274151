package imap

import (
	"time"

	"posthouse/directory"
	"posthouse/imap/wire"
)

// extUnauthenticate is UNAUTHENTICATE, RFC 8437 §3: another person on the same
// connection. Where a proxy in front forbids that, withhold it by its name (§8).
var extUnauthenticate = &extension{name: "UNAUTHENTICATE", rfc: "RFC 8437",
	commands: []command{{"UNAUTHENTICATE", loggedIn, tellNothing, false, (*conn).unauthenticate}},
}

// unauthenticate forgets all of the connection but TLS, RFC 8437 §4.1.
func (c *conn) unauthenticate(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	c.unselect()
	for _, x := range c.tab.extensions {
		if x.reset != nil {
			x.reset(c)
		}
	}
	c.srv.farewell(c)
	c.tab = c.srv.tables
	c.acct, c.user, c.dia, c.state = nil, directory.Account{}, dialect{}, stateNotAuthenticated
	c.deadline = time.Now().Add(c.lim.LoginTime)
	if z, ok := c.nc.(*deflated); ok {
		return c.decompress(z)
	}
	return nil
}

// farewell counts a connection that was logged in as one that is not.
func (s *Server) farewell(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismissLocked(c)
	if c.peer.IsValid() && !c.stranger {
		s.books.strangers[networkOf(c.peer)]++
		c.stranger = true
	}
}
