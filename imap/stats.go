package imap

import "sync/atomic"

// Stats are counters since New and gauges, for metrics.
type Stats struct {
	Connections uint64 // accepted
	Open        int    // now
	Refused     uint64 // over a limit of connections
	Logins      uint64
	LoginsBad   uint64
	Commands    uint64
	Bad         uint64 // commands answered BAD
	Panics      uint64 // each is a bug
	Appended    uint64 // messages
	Fetched     uint64 // messages
	Idling      int64  // connections in IDLE now
}

type counters struct {
	connections, refused, logins, loginsBad, commands, bad, panics, appended, fetched atomic.Uint64
	idling                                                                            atomic.Int64
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Connections: s.stats.connections.Load(),
		Open:        open,
		Refused:     s.stats.refused.Load(),
		Logins:      s.stats.logins.Load(),
		LoginsBad:   s.stats.loginsBad.Load(),
		Commands:    s.stats.commands.Load(),
		Bad:         s.stats.bad.Load(),
		Panics:      s.stats.panics.Load(),
		Appended:    s.stats.appended.Load(),
		Fetched:     s.stats.fetched.Load(),
		Idling:      s.stats.idling.Load(),
	}
}
