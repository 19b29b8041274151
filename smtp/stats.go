package smtp

import "sync/atomic"

// Stats are counters since New, and Open, a gauge.
type Stats struct {
	Open             int64  // connections
	Connections      uint64 // in all
	Turned           uint64 // away: too many from one address
	Accepted         uint64 // messages; for LMTP, once for each recipient
	Refused          uint64 // the same, at the end of their data
	Bytes            uint64 // of accepted messages
	Logins           uint64
	FailedLogins     uint64
	FailedHandshakes uint64
	Early            uint64 // connections that spoke before they were greeted
	Slowed           uint64 // messages that waited because of signs of a spammer
	Panics           uint64 // bugs
}

type counters struct {
	open                                           atomic.Int64
	connections, turned, accepted, refused, bytes  atomic.Uint64
	logins, failedLogins, failedHandshakes, panics atomic.Uint64
	early, slowed                                  atomic.Uint64
}

// Stats returns the present values.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Open: c.open.Load(), Connections: c.connections.Load(), Turned: c.turned.Load(),
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), Bytes: c.bytes.Load(),
		Logins: c.logins.Load(), FailedLogins: c.failedLogins.Load(),
		FailedHandshakes: c.failedHandshakes.Load(), Panics: c.panics.Load(),
		Early: c.early.Load(), Slowed: c.slowed.Load(),
	}
}
