package smtp

import "posthouse/mail"

var replyDropped = mail.Reply{Code: 421, Enhanced: [3]uint8{4, 7, 0}, Text: "The account was changed: connect and log in again"}

// Drop ends the connections of an account: its password changed, or it may not log in
// any more. Each finishes the command that it runs.
func (s *Server) Drop(id mail.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.owner == id {
			c.dropped.Store(true)
			c.wake()
		}
	}
}

// own notes whose connection it is.
func (s *Server) own(c *conn, id mail.AccountID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.owner = id
}
