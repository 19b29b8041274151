package smtpclient

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/sasl"
)

// Connect makes a connection that is ready for a message: greeting, EHLO (or HELO,
// or LHLO), STARTTLS and AUTH as the target wants them. An error is an *Error.
func (d *Dialer) Connect(ctx context.Context, t Target) (*Conn, error) {
	c, _, err := d.ConnectAny(ctx, []Target{t})
	return c, err
}

// ConnectAny is Connect to one of several addresses of the same server, RFC 8305: the
// next one is tried beside the last when that has not answered after Stagger or has
// failed, and the first that takes the connection gets it. tried are the indices of
// those that need not be tried again, the one of the connection last.
func (d *Dialer) ConnectAny(ctx context.Context, ts []Target) (c *Conn, tried []int, err error) {
	timeouts := d.Timeouts.withDefaults()
	nc, won, tried, err := d.race(ctx, ts, timeouts.Connect)
	if err != nil {
		return nil, tried, d.failed(ctx, ts[won], stConnect, err)
	}
	t := ts[won]
	c, s, err := d.begin(ctx, t, nc)
	var e *Error
	if s == stHandshake && t.TLS.Mode == TLSOpportunistic && ctx.Err() == nil && err != nil && !errors.As(err, &e) {
		// The handshake spoilt this connection. Any delivery is better than none, as
		// without the offer of TLS: once more in plain text.
		cause := err
		plain := t
		plain.TLS.Mode = TLSNever
		if nc, err = d.dial(ctx, plain, timeouts.Connect); err != nil {
			return nil, tried, d.failed(ctx, t, stConnect, err)
		}
		if c, s, err = d.begin(ctx, plain, nc); err == nil {
			c.tlsErr = cause
			c.target = t // it is what was asked for
		}
	}
	if err != nil {
		return nil, tried, d.failed(ctx, t, s, err)
	}
	return c, tried, nil
}

// failed makes the error of a connection that did not come about.
func (d *Dialer) failed(ctx context.Context, t Target, s stage, err error) error {
	var e *Error
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.As(err, &e) {
		return err
	}
	return &Error{Target: t.String(), Stage: s.String(), Reply: localReply(t, s, err), Err: err}
}

// begin opens the dialogue on nc. It returns the stage at which it failed; what the
// server refused is an *Error already.
func (d *Dialer) begin(ctx context.Context, t Target, nc net.Conn) (*Conn, stage, error) {
	c := &Conn{d: d, target: t, time: d.Timeouts.withDefaults()}
	c.use(nc)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	s, err := c.open(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Close()
		return nil, s, err
	}
	return c, s, nil
}

// open does all that comes before the first MAIL.
func (c *Conn) open(ctx context.Context) (stage, error) {
	policy := c.target.TLS
	if policy.Mode == TLSImplicit {
		if err := c.handshake(ctx); err != nil {
			return stHandshake, err
		}
	}
	r, err := c.reply(stGreeting)
	if err == nil && !r.Positive() {
		err = c.refused(stGreeting, r)
	}
	if err != nil {
		return stGreeting, err
	}
	if err := c.hello(); err != nil {
		return stHello, err
	}
	if policy.Mode == TLSRequired || policy.Mode == TLSOpportunistic && c.Offers("STARTTLS") {
		if s, err := c.startTLS(ctx); err != nil {
			return s, err
		}
	}
	if policy.Offer != "" && (c.TLS() == nil || !c.Offers(policy.Offer)) {
		return stHello, c.lacks(policy.Offer)
	}
	if c.target.Auth != nil {
		if err := c.auth(); err != nil {
			return stAuth, err
		}
	}
	return stMail, nil
}

// refused makes the error of a refusal. Anything but 4xx and 5xx is a breach of
// protocol, which may pass.
func (c *Conn) refused(s stage, r mail.Reply) error {
	e := &Error{Target: c.target.String(), Stage: s.String(), Reply: r, Remote: true}
	if !r.Transient() && !r.Permanent() {
		e.Reply = unexpected(c.target, s, r)
	}
	return e
}

// hello says EHLO and, where that is not known, HELO: RFC 5321 §3.2.
func (c *Conn) hello() error {
	verb := "EHLO "
	if c.target.Mode == LMTP {
		verb = "LHLO "
	}
	r, err := c.command(stHello, verb+c.d.Hello)
	if err != nil {
		return err
	}
	c.ext = nil
	if r.Permanent() && c.target.Mode == SMTP {
		if r, err = c.command(stHello, "HELO "+c.d.Hello); err != nil {
			return err
		}
	}
	if !r.Positive() {
		return c.refused(stHello, r)
	}
	c.ext = make(map[string]string)
	first, rest, _ := strings.Cut(r.Text, "\n")
	c.name, _, _ = strings.Cut(first, " ")
	for line := range strings.SplitSeq(rest, "\n") {
		// Quirk: servers before RFC 2554 (Exchange still, in 2024) write "AUTH=LOGIN",
		// often besides "AUTH LOGIN".
		if len(line) > 5 && strings.EqualFold(line[:5], "AUTH=") {
			line = "AUTH " + line[5:]
		}
		keyword, params, _ := strings.Cut(line, " ")
		keyword = strings.ToUpper(keyword)
		c.ext[keyword] = strings.TrimSpace(c.ext[keyword] + " " + params)
	}
	return nil
}

// lacks is the refusal of a server that does not offer what it must, RFC 8689 §4.2.1.
func (c *Conn) lacks(keyword string) error {
	return &Error{Target: c.target.String(), Stage: stHello.String(), Err: errors.New("no " + keyword),
		Reply: mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 30}, Text: c.target.String() + " does not offer " + keyword + ", which the message needs"}}
}

// ErrNoStartTLS is the cause of a connection that failed because TLS is required and
// not offered.
var ErrNoStartTLS = errors.New("STARTTLS is not offered")

// startTLS does STARTTLS, RFC 3207 §4, and says EHLO again.
func (c *Conn) startTLS(ctx context.Context) (stage, error) {
	required := c.target.TLS.Mode == TLSRequired
	if !c.Offers("STARTTLS") {
		return stHandshake, ErrNoStartTLS
	}
	r, err := c.command(stStartTLS, "STARTTLS")
	if err != nil {
		return stHandshake, err
	}
	if !r.Positive() {
		if required || c.dead {
			return stStartTLS, c.refused(stStartTLS, r)
		}
		c.tlsErr = c.refused(stStartTLS, r)
		return stStartTLS, nil // offered but not there: go on without
	}
	if c.r.Buffered() > 0 {
		return stHandshake, errors.New("the server sent more than its reply before the handshake")
	}
	if err := c.handshake(ctx); err != nil {
		return stHandshake, err
	}
	return stHello, c.hello()
}

// handshake encrypts the connection.
func (c *Conn) handshake(ctx context.Context) error {
	p := c.target.TLS
	conf := &tls.Config{}
	if p.Config != nil {
		conf = p.Config.Clone()
	}
	if conf.ServerName = p.ServerName; conf.ServerName == "" {
		conf.ServerName = c.target.Host
	}
	conf.InsecureSkipVerify = true // policy.Verify is asked instead, also of resumed sessions
	if conf.ClientSessionCache == nil {
		conf.ClientSessionCache = c.d.Sessions
	}
	if p.Verify != nil {
		conf.VerifyConnection = p.Verify
	}
	ctx, cancel := context.WithTimeout(ctx, c.time.TLS)
	defer cancel()
	if err := c.nc.SetDeadline(time.Now().Add(c.time.TLS)); err != nil {
		return err
	}
	tc := tls.Client(c.nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := tc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.use(tc)
	return nil
}

var errNoAuth = errors.New("the server offers no way to log in that we know and may use")

// auth logs in with the best mechanism of both, RFC 4954 §4. A refusal is
// transient: the fault is in someone's configuration, not in the message.
func (c *Conn) auth() error {
	m, ok := c.mechanism()
	if !ok {
		return errNoAuth
	}
	cl := m.Client(*c.target.Auth)
	first, err := cl.Start()
	if err != nil {
		return err
	}
	line := "AUTH " + m.Name
	if first != nil {
		line += " " + base64.StdEncoding.EncodeToString(first)
		if len(first) == 0 {
			line = "AUTH " + m.Name + " ="
		}
	}
	r, err := c.command(stAuth, line)
	for steps := 0; err == nil && r.Code == 334 && steps < maxAuthSteps; steps++ {
		var challenge, response []byte
		if challenge, err = base64.StdEncoding.DecodeString(r.Text); err != nil {
			break
		}
		if response, err = cl.Next(challenge); err != nil {
			break
		}
		r, err = c.command(stAuth, base64.StdEncoding.EncodeToString(response))
	}
	if err != nil || r.Positive() {
		return err
	}
	if r.Permanent() {
		r.Code -= 100
		if r.Enhanced[0] == 5 {
			r.Enhanced[0] = 4
		}
	}
	return c.refused(stAuth, r)
}

// maxAuthSteps ends an exchange with a server that asks for ever.
const maxAuthSteps = 10

func (c *Conn) mechanism() (sasl.Mechanism, bool) {
	offered := strings.Fields(c.ext["AUTH"])
	for _, m := range sasl.Clients() {
		if m.Plaintext && c.TLS() == nil && !c.target.PlainAuth {
			continue
		}
		for _, o := range offered {
			if strings.EqualFold(o, m.Name) {
				return m, true
			}
		}
	}
	return sasl.Mechanism{}, false
}
