package delivery

import (
	"crypto/tls"
	"net/netip"

	"posthouse/directory"
)

// An Origin says by which door mail comes in.
type Origin uint8

// The doors.
const (
	FromMX         Origin = iota // from another server: only for local recipients
	FromSubmission               // from an account of ours: to anyone, as itself
	FromLMTP                     // from a trusted server beside us: only for local recipients
	FromServer                   // made by this server: DSNs, reports
)

// A Session is what a front end knows of the peer who hands in mail. It does not
// change during a Transaction.
type Session struct {
	Origin   Origin
	Remote   netip.Addr // zero: a local socket
	Hello    string     // as the peer names itself; "" if it did not
	Extended bool       // it said EHLO, not HELO
	// TLS is the state of its TLS layer, or nil.
	TLS *tls.ConnectionState
	// Account is who logged in, or nil.
	Account *directory.Account
	// AuthType is the SASL mechanism by which it did; "" if nobody logged in.
	AuthType string
	// Early: it spoke before it was greeted.
	Early bool

	peer *peer // see Service.Meet
}
