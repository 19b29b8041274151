package imap

import (
	"errors"

	"posthouse/mail"
)

// errDropped says that the connection must log in again.
var errDropped = errors.New("imap: the account changed")

// Drop ends the connections of an account: its password changed, or it may not
// log in any more. Each finishes the command that it runs and says BYE.
func (s *Server) Drop(id mail.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, nc := range s.conns {
		if c.owner == id {
			c.dropped.Store(true)
			c.wake(nc)
		}
	}
}
