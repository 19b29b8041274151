package smtp

import (
	"context"
	"crypto/tls"
	"time"

	"posthouse/mail"
)

// STARTTLS, RFC 3207.
var extStartTLS = &extension{keyword: "STARTTLS", rfc: "RFC 3207",
	offered:  func(c *conn) bool { return c.face.startTLS && c.opts.TLSConfig != nil && c.session.TLS == nil },
	commands: []command{{"STARTTLS", stateStart | stateReady, 0, (*conn).startTLS}},
}

// handshakeTimeout bounds a TLS handshake, which costs us more than the peer.
const handshakeTimeout = 30 * time.Second

var (
	replyHaveTLS   = mail.Reply{Code: 503, Enhanced: [3]uint8{5, 5, 1}, Text: "TLS is on already"}
	replyNoTLS     = mail.Reply{Code: 502, Enhanced: [3]uint8{5, 5, 1}, Text: "TLS is not offered here"}
	replyGoTLS     = mail.Reply{Code: 220, Enhanced: [3]uint8{2, 0, 0}, Text: "Ready to start TLS"}
	replyInjection = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 5, 1}, Text: "Nothing may follow STARTTLS before TLS"}
)

// STARTTLS, RFC 3207 §4.
func (c *conn) startTLS(arg string) mail.Reply {
	switch {
	case arg != "":
		return replyNoArgument
	case c.session.TLS != nil:
		return replyHaveTLS
	case !c.face.startTLS || c.opts.TLSConfig == nil:
		return replyNoTLS
	case c.r.Buffered() > 0:
		// Somebody on the way put it there, or the peer does not know the protocol. It
		// must not be taken for what comes inside TLS (RFC 3207 §6).
		c.giveUp()
		return replyInjection
	}
	c.write(replyGoTLS)
	if c.flush() != nil || !c.handshake() {
		c.done = true
		return mail.Reply{}
	}
	c.endTransaction()
	c.session.Hello, c.session.Extended, c.session.Account, c.session.AuthType = "", false, nil, "" // RFC 3207 §4.2
	c.state = stateStart
	return mail.Reply{}
}

// tlsConfig is that of the connection's face.
func (c *conn) tlsConfig() *tls.Config {
	if c.face.login && c.opts.LoginTLS != nil {
		return c.opts.LoginTLS
	}
	return c.opts.TLSConfig
}

// handshake puts TLS on the connection.
func (c *conn) handshake() bool {
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	if c.raw.SetDeadline(time.Now().Add(handshakeTimeout)) != nil {
		return false
	}
	layer := tls.Server(c.raw, c.tlsConfig())
	if err := layer.HandshakeContext(ctx); err != nil {
		c.srv.stats.failedHandshakes.Add(1)
		c.opts.Logger.Info("TLS handshake failed", "face", c.face.name, "remote", c.session.Remote, "err", err)
		return false
	}
	state := layer.ConnectionState()
	c.session.TLS, c.net = &state, layer
	c.r.Reset(feed{c})
	return true
}
