package imap

import (
	"crypto/tls"
	"time"

	"posthouse/imap/wire"
)

var extStartTLS = &extension{name: "STARTTLS", rfc: "RFC 9051", early: true,
	caps: func(c *conn, dst []byte) []byte {
		if c.state != stateNotAuthenticated || c.tls || c.srv.opts.TLSConfig == nil {
			return dst
		}
		return append(dst, " STARTTLS"...)
	},
	commands: []command{{"STARTTLS", stateNotAuthenticated, tellNothing, false, (*conn).startTLS}},
}

// STARTTLS, RFC 9051 §6.2.1. What the client sent behind it in the clear is
// dropped: an attacker may have put it there.
func (c *conn) startTLS(d *wire.Decoder) error {
	if d.End(); d.Err() != nil {
		return d.Err()
	}
	if c.tls || c.srv.opts.TLSConfig == nil {
		return bad("TLS is not available")
	}
	c.tagged(c.tag, "OK", "", "begin TLS now")
	if err := c.flush(); err != nil {
		return err
	}
	plain := c.nc
	if err := plain.SetDeadline(c.deadline); err != nil {
		return err
	}
	secure := tls.Server(plain, c.srv.opts.TLSConfig)
	if err := secure.HandshakeContext(c.ctx); err != nil {
		return err
	}
	if err := plain.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.rd.Reset(c)
	c.nc, c.tls, c.raw = secure, true, nil
	c.armed, c.stall = time.Time{}, time.Time{}
	c.srv.upgraded(c)
	return errAnswered
}
