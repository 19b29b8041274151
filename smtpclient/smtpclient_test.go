package smtpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/smtpclient"
	"posthouse/smtpclient/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = "Subject: hi\r\n\r\n.dot\r\nend\r\n"

var all = []string{"PIPELINING", "SIZE 100000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8"}

func dialer() *smtpclient.Dialer {
	return &smtpclient.Dialer{Hello: "client.test", AddrPolicy: smtpclient.AnyAddr}
}

func target(s *smtptest.Server) smtpclient.Target {
	return smtpclient.Target{Host: "mx.test", Addr: s.Addr}
}

func connect(t *testing.T, d *smtpclient.Dialer, to smtpclient.Target) *smtpclient.Conn {
	t.Helper()
	c, err := d.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func message(to ...string) smtpclient.Message {
	env := mail.Envelope{ReversePath: mail.Address{Local: "ada", Domain: "a.test"}}
	for _, local := range to {
		env.Recipients = append(env.Recipients, mail.Recipient{Address: mail.Address{Local: local, Domain: "b.test"}})
	}
	return smtpclient.Message{Envelope: env, Size: int64(len(text)), Content: strings.NewReader(text)}
}

// brief spells outcomes for comparison: code, enhanced code, "!" for ours, "?" for
// unknown.
func brief(res smtpclient.Result) string {
	var out []string
	for _, o := range res.Outcomes {
		e := o.Reply.Enhanced
		s := fmt.Sprintf("%d/%d.%d.%d", o.Reply.Code, e[0], e[1], e[2])
		if !o.Remote {
			s += "!"
		}
		if o.Unknown {
			s += "?"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestSendAndReuse(t *testing.T) {
	for _, ext := range [][]string{all, nil} {
		srv := smtptest.New(t, smtptest.Options{Extensions: ext})
		c := connect(t, dialer(), target(srv))
		for i := range 3 {
			res := c.Send(t.Context(), message("x", "y"))
			if got := brief(res); got != "250/2.0.0 250/2.0.0" || res.Err != nil || !c.Reusable() {
				t.Fatalf("message %d: %s, %v", i, got, res.Err)
			}
		}
		if err := c.Quit(t.Context()); err != nil {
			t.Error(err)
		}
		msgs := srv.Messages()
		if len(msgs) != 3 || msgs[2].Data != text || len(msgs[2].To) != 2 || msgs[0].Pipelined != (ext != nil) {
			t.Errorf("%+v", msgs)
		}
		if total, _ := srv.Conns(); total != 1 {
			t.Errorf("%d connections", total)
		}
		if v := srv.Verbs(); strings.Contains(v, "RSET") || !strings.HasSuffix(v, "QUIT") {
			t.Errorf("verbs: %s", v)
		}
	}
}

func TestParameters(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: all})
	c := connect(t, dialer(), target(srv))
	m := message("x", "y")
	m.Envelope.Body = mail.Body8BitMIME
	m.Envelope.UTF8, m.Envelope.ReturnFull, m.Envelope.EnvID = true, true, "a+b"
	m.Envelope.Recipients[0].Notify = mail.NotifyFailure | mail.NotifyDelay
	m.Envelope.Recipients[0].Original = "rfc822;x=x@b.test"
	m.Envelope.Recipients[1].Address = mail.Address{Local: "ÿ", Domain: "bücher.test"}
	if res := c.Send(t.Context(), m); brief(res) != "250/2.0.0 250/2.0.0" || !res.DSN {
		t.Fatal(brief(res), res.Err)
	}
	got := srv.Messages()[0]
	if want := fmt.Sprintf("<ada@a.test> SIZE=%d BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb", len(text)); got.From != want {
		t.Errorf("MAIL FROM:%s, want %s", got.From, want)
	}
	if want := "<x@b.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x+3Dx@b.test"; got.To[0] != want || got.To[1] != "<ÿ@bücher.test>" {
		t.Errorf("RCPT TO:%q", got.To)
	}
}

// What the envelope asks of each server on the way goes on to those that know it.
func TestEnvelopeGoesOn(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: append([]string{"REQUIRETLS", "MT-PRIORITY STANAG4406", "DELIVERBY 30"}, all...), TLS: smtptest.Certificate(t, "mx.test")})
	m := message("x")
	m.Envelope.RequireTLS, m.Envelope.Priority = true, -4
	m.Envelope.DeliverBy, m.Envelope.ByReturn, m.Envelope.ByTrace = time.Now().Add(time.Hour), true, true
	c := connect(t, dialer(), target(srv))
	if got := brief(c.Send(t.Context(), m)); got != "250/2.0.0" {
		t.Fatal(got)
	}
	from := srv.Messages()[0].From
	if !strings.Contains(from, " REQUIRETLS MT-PRIORITY=-4 BY=35") || !strings.HasSuffix(from, ";RT") {
		t.Errorf("MAIL FROM:%s", from)
	}
	m.Content = strings.NewReader(text)
	m.Envelope.DeliverBy = time.Now().Add(10 * time.Second)
	if got := brief(c.Send(t.Context(), m)); got != "550/5.4.7!" {
		t.Errorf("too late: %s", got)
	}
	srv = smtptest.New(t, smtptest.Options{Extensions: append([]string{"REQUIRETLS"}, all...)})
	if got := brief(connect(t, dialer(), target(srv)).Send(t.Context(), m)); got != "550/5.7.30!" {
		t.Errorf("without TLS: %s", got)
	}
}

// RFC 8305: an address that does not answer costs no more than the stagger, and the
// first that takes the connection is the one that is used.
func TestConnectAny(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: all})
	d := dialer()
	d.Stagger = time.Millisecond
	d.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		switch {
		case strings.HasPrefix(address, "[2001:db8::1]"): // a black hole
			<-ctx.Done()
			return nil, ctx.Err()
		case strings.HasPrefix(address, "192.0.2.1:"):
			return nil, errors.New("refused")
		}
		var nd net.Dialer
		return nd.DialContext(ctx, network, address)
	}
	at := func(ip string) smtpclient.Target {
		return smtpclient.Target{Host: "mx.test", Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), srv.Addr.Port())}
	}
	c, tried, err := d.ConnectAny(t.Context(), []smtpclient.Target{at("2001:db8::1"), at("192.0.2.1"), at("127.0.0.1"), at("127.0.0.2")})
	if err != nil || c.Target().Addr != srv.Addr || !slices.Contains(tried, 1) || tried[len(tried)-1] != 2 {
		t.Fatal(c, tried, err)
	}
	_ = c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var e *smtpclient.Error
	if _, tried, err = d.ConnectAny(ctx, []smtpclient.Target{at("2001:db8::1"), at("192.0.2.1")}); !errors.As(err, &e) || len(tried) != 2 {
		t.Error(tried, err)
	}
	d = dialer()
	d.LocalAddrs = []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.7")}
	c = connect(t, d, target(srv))
	if from := c.LocalAddr(); from.Addr() != d.LocalAddrs[1] {
		t.Errorf("from %s", from)
	}
}

func TestServerThatKnowsLess(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: []string{"SIZE 20"}})
	c := connect(t, dialer(), target(srv))
	if res := c.Send(t.Context(), message("x")); brief(res) != "552/5.3.4!" {
		t.Errorf("size: %s", brief(res))
	}
	srv = smtptest.New(t, smtptest.Options{})
	c = connect(t, dialer(), target(srv))
	m := message("x", "ÿ")
	m.Envelope.UTF8 = true
	m.Envelope.Recipients[0].Address.Domain = "bücher.test"
	m.Envelope.Body = mail.Body8BitMIME
	if res := c.Send(t.Context(), m); brief(res) != "250/2.0.0 550/5.6.7!" || res.DSN {
		t.Errorf("addresses: %s", brief(res))
	}
	if got := srv.Messages()[0]; got.To[0] != "<x@xn--bcher-kva.test>" || got.From != "<ada@a.test>" {
		t.Errorf("%+v", got)
	}
	m = message("x")
	m.Envelope.UTF8, m.HeaderUTF8 = true, true
	if res := c.Send(t.Context(), m); brief(res) != "550/5.6.7!" {
		t.Errorf("header: %s", brief(res))
	}
	m = message("x")
	m.Envelope.Body = mail.BodyBinaryMIME
	if res := c.Send(t.Context(), m); brief(res) != "554/5.6.1!" {
		t.Errorf("binary: %s", brief(res))
	}
	d := dialer()
	d.Strict8Bit = true
	c = connect(t, d, target(srv))
	m = message("x")
	m.Envelope.Body = mail.Body8BitMIME
	if res := c.Send(t.Context(), m); brief(res) != "554/5.6.3!" || !c.Reusable() {
		t.Errorf("strict: %s", brief(res))
	}
}

func TestRecipientLimit(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: []string{"LIMITS MAILMAX=5 RCPTMAX=2"}})
	c := connect(t, dialer(), target(srv))
	if got := brief(c.Send(t.Context(), message("x", "y", "z"))); got != "250/2.0.0 250/2.0.0 452/4.5.3!" {
		t.Error(got)
	}
}

func TestBinary(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: append([]string{"CHUNKING", "BINARYMIME"}, all...)})
	c := connect(t, dialer(), target(srv))
	m := message("x")
	body := "a: b\r\n\r\n\x00\r\n.\r\n\n\r"
	m.Envelope.Body, m.Content, m.Size = mail.BodyBinaryMIME, strings.NewReader(body), int64(len(body))
	if res := c.Send(t.Context(), m); brief(res) != "250/2.0.0" {
		t.Fatal(brief(res), res.Err)
	}
	if got := srv.Messages()[0]; got.Data != body || !strings.Contains(got.From, "BODY=BINARYMIME") {
		t.Errorf("%+v", got)
	}
}

func TestLMTP(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{LMTP: true, Extensions: all, Hook: func(c smtptest.Command) smtptest.Reaction {
		switch {
		case c.Verb == "EHLO" || c.Verb == "HELO":
			return smtptest.Reaction{Reply: "500 5.5.1 LMTP"}
		case c.Verb == "RCPT" && strings.Contains(c.Arg, "nobody"):
			return smtptest.Reaction{Reply: "550 5.1.1 who?"}
		case c.Verb == "." && strings.Contains(c.Arg, "full"):
			return smtptest.Reaction{Reply: "452 4.2.2 full"}
		}
		return smtptest.Reaction{}
	}})
	to := target(srv)
	to.Mode = smtpclient.LMTP
	c := connect(t, dialer(), to)
	if got := brief(c.Send(t.Context(), message("x", "nobody", "full", "y"))); got != "250/2.0.0 550/5.1.1 452/4.2.2 250/2.0.0" {
		t.Error(got)
	}
}

func TestManyRecipients(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: all, Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "RCPT" && strings.Contains(c.Arg, "<r7") {
			return smtptest.Reaction{Reply: "550-5.1.1 no\r\n550 5.1.1 such user"}
		}
		return smtptest.Reaction{}
	}})
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("r%d", i))
	}
	c := connect(t, dialer(), target(srv))
	res := c.Send(t.Context(), message(to...))
	bad := 0
	for i, o := range res.Outcomes {
		if o.Reply.Positive() == strings.HasPrefix(to[i], "r7") {
			t.Fatalf("%s: %v", to[i], o)
		}
		if !o.Reply.Positive() {
			bad++
		}
	}
	if got := srv.Messages()[0]; bad != 111 || len(got.To) != 889 {
		t.Errorf("%d refused, %d accepted", bad, len(got.To))
	}
}

// TestMisbehaviour has a server misbehave in each way at each point.
func TestMisbehaviour(t *testing.T) {
	type row struct {
		verb     string
		reaction smtptest.Reaction
		want     string // of two recipients; the hook is for the first RCPT
	}
	rows := []row{
		{"MAIL", smtptest.Reaction{Close: true}, "451/4.4.2! 451/4.4.2!"},
		{"MAIL", smtptest.Reaction{Hang: true}, "451/4.4.2! 451/4.4.2!"},
		{"MAIL", smtptest.Reaction{Reply: "421 4.3.2 bye", Close: true}, "421/4.3.2 421/4.3.2"},
		{"MAIL", smtptest.Reaction{Reply: "550 5.7.1 no"}, "550/5.7.1 550/5.7.1"},
		{"MAIL", smtptest.Reaction{Reply: "451 4.7.1 later"}, "451/4.7.1 451/4.7.1"},
		{"MAIL", smtptest.Reaction{Reply: "354 what"}, "451/4.5.0! 451/4.5.0!"},
		{"MAIL", smtptest.Reaction{Reply: "HTTP/1.1 400 Bad Request"}, "451/4.5.0! 451/4.5.0!"},
		{"RCPT", smtptest.Reaction{Close: true}, "451/4.4.2! 451/4.4.2!"},
		{"RCPT", smtptest.Reaction{Hang: true}, "451/4.4.2! 451/4.4.2!"},
		{"RCPT", smtptest.Reaction{Reply: "421 4.3.2 bye", Close: true}, "421/4.3.2 421/4.3.2"},
		{"RCPT", smtptest.Reaction{Reply: "550 no"}, "550/0.0.0 250/2.0.0"},
		{"RCPT", smtptest.Reaction{Reply: "450 4.2.0 later"}, "450/4.2.0 250/2.0.0"},
		{"RCPT", smtptest.Reaction{Reply: "354 what"}, "451/4.5.0! 250/2.0.0"},
		{"RCPT", smtptest.Reaction{Reply: "\x00\xff"}, "451/4.5.0! 451/4.5.0!"},
		{"DATA", smtptest.Reaction{Close: true}, "451/4.4.2! 451/4.4.2!"},
		{"DATA", smtptest.Reaction{Hang: true}, "451/4.4.2! 451/4.4.2!"},
		{"DATA", smtptest.Reaction{Reply: "421 4.3.2 bye", Close: true}, "421/4.3.2 421/4.3.2"},
		{"DATA", smtptest.Reaction{Reply: "554 5.7.1 no"}, "554/5.7.1 554/5.7.1"},
		{"DATA", smtptest.Reaction{Reply: "451 4.3.0 later"}, "451/4.3.0 451/4.3.0"},
		{"DATA", smtptest.Reaction{Reply: "250 ok"}, "451/4.5.0! 451/4.5.0!"},
		{".", smtptest.Reaction{Close: true}, "451/4.4.2!? 451/4.4.2!?"},
		{".", smtptest.Reaction{Hang: true}, "451/4.4.2!? 451/4.4.2!?"},
		{".", smtptest.Reaction{Reply: "nonsense", Close: true}, "451/4.5.0!? 451/4.5.0!?"},
		{".", smtptest.Reaction{Reply: "421 4.3.2 bye", Close: true}, "421/4.3.2 421/4.3.2"},
		{".", smtptest.Reaction{Reply: "554 5.7.1 spam"}, "554/5.7.1 554/5.7.1"},
		{".", smtptest.Reaction{Reply: "451 4.3.0 later"}, "451/4.3.0 451/4.3.0"},
	}
	for _, ext := range [][]string{nil, all} {
		for _, r := range rows {
			t.Run(fmt.Sprintf("%s/%+v/%d", r.verb, r.reaction, len(ext)), func(t *testing.T) {
				t.Parallel()
				srv := smtptest.New(t, smtptest.Options{Extensions: ext, Hook: func(c smtptest.Command) smtptest.Reaction {
					if c.Verb == r.verb && !strings.Contains(c.Arg, "second") {
						return r.reaction
					}
					return smtptest.Reaction{}
				}})
				d := dialer()
				wait := 200 * time.Millisecond
				if r.reaction.Hang {
					d.Timeouts = smtpclient.Timeouts{Mail: wait, Rcpt: wait, DataInit: wait, DataDone: wait}
				}
				c := connect(t, d, target(srv))
				res := c.Send(t.Context(), message("first", "second"))
				if got := brief(res); got != r.want {
					t.Errorf("%s, want %s (%v)", got, r.want, res.Err)
				}
				again := !strings.Contains(r.want, "421/") && res.Err == nil
				if c.Reusable() != again {
					t.Fatalf("reusable: %v (%v)", c.Reusable(), res.Err)
				}
				if again && len(srv.Messages()) == 0 { // the next must not see remains of this one
					if res = c.Send(t.Context(), message("second")); res.Err != nil || res.Stale {
						t.Errorf("next: %s, %v", brief(res), res.Err)
					}
				}
			})
		}
	}
}

func TestMisbehaviourBeforeMail(t *testing.T) {
	for _, tt := range []struct {
		verb      string
		reaction  smtptest.Reaction
		permanent bool
		remote    bool
		enhanced  [3]uint8
	}{
		{"CONNECT", smtptest.Reaction{Close: true}, false, false, [3]uint8{4, 4, 2}},
		{"CONNECT", smtptest.Reaction{Hang: true}, false, false, [3]uint8{4, 4, 2}},
		{"CONNECT", smtptest.Reaction{Reply: "554 5.7.1 go away", Close: true}, true, true, [3]uint8{5, 7, 1}},
		{"CONNECT", smtptest.Reaction{Reply: "421 4.7.0 busy", Close: true}, false, true, [3]uint8{4, 7, 0}},
		{"CONNECT", smtptest.Reaction{Reply: "SSH-2.0-OpenSSH_9.2"}, false, false, [3]uint8{4, 5, 0}},
		{"CONNECT", smtptest.Reaction{Reply: strings.Repeat("220-x\r\n", 1000) + "220 x"}, false, false, [3]uint8{4, 5, 0}},
		{"EHLO", smtptest.Reaction{Close: true}, false, false, [3]uint8{4, 4, 2}},
		{"EHLO", smtptest.Reaction{Hang: true}, false, false, [3]uint8{4, 4, 2}},
		{"EHLO", smtptest.Reaction{Reply: "450 4.7.1 later"}, false, true, [3]uint8{4, 7, 1}},
	} {
		srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
			if c.Verb == tt.verb {
				return tt.reaction
			}
			return smtptest.Reaction{}
		}})
		d := dialer()
		d.Timeouts = smtpclient.Timeouts{Greeting: 200 * time.Millisecond, Hello: 200 * time.Millisecond}
		c, err := d.Connect(t.Context(), target(srv))
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Reply.Permanent() != tt.permanent || e.Remote != tt.remote || e.Reply.Enhanced != tt.enhanced {
			t.Errorf("%s %+v: %v, %v", tt.verb, tt.reaction, c, err)
		}
	}
	// EHLO refused: HELO.
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "EHLO" {
			return smtptest.Reaction{Reply: "502 5.5.1 what?"}
		}
		return smtptest.Reaction{}
	}})
	c := connect(t, dialer(), target(srv))
	if got := brief(c.Send(t.Context(), message("x"))); got != "250/2.0.0" {
		t.Error(got)
	}
	if v := srv.Verbs(); !strings.HasPrefix(v, "CONNECT EHLO HELO MAIL") {
		t.Error(v)
	}
}

func TestStartTLS(t *testing.T) {
	conf := smtptest.Certificate(t, "mx.test")
	failing := func(verb string, r smtptest.Reaction) func(smtptest.Command) smtptest.Reaction {
		return func(c smtptest.Command) smtptest.Reaction {
			if c.Verb == verb {
				return r
			}
			return smtptest.Reaction{}
		}
	}
	refuse := func(tls.ConnectionState) error { return errors.New("wrong certificate") }
	for _, tt := range []struct {
		name   string
		opt    smtptest.Options
		policy smtpclient.TLSPolicy
		ok     bool
		tls    bool
	}{
		{"offered", smtptest.Options{TLS: conf}, smtpclient.TLSPolicy{}, true, true},
		{"not offered", smtptest.Options{}, smtpclient.TLSPolicy{}, true, false},
		{"required", smtptest.Options{TLS: conf}, smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired}, true, true},
		{"required, not offered", smtptest.Options{}, smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired}, false, false},
		{"refused", smtptest.Options{TLS: conf, Hook: failing("STARTTLS", smtptest.Reaction{Reply: "454 4.7.0 no"})}, smtpclient.TLSPolicy{}, true, false},
		{"required, refused", smtptest.Options{TLS: conf, Hook: failing("STARTTLS", smtptest.Reaction{Reply: "454 4.7.0 no"})},
			smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired}, false, false},
		{"closes", smtptest.Options{TLS: conf, Hook: failing("STARTTLS", smtptest.Reaction{Close: true})}, smtpclient.TLSPolicy{}, true, false},
		{"garbage", smtptest.Options{TLS: conf, Hook: failing("STARTTLS", smtptest.Reaction{Reply: "220 go\r\n250 injected"})}, smtpclient.TLSPolicy{}, true, false},
		{"no handshake", smtptest.Options{TLS: &tls.Config{}}, smtpclient.TLSPolicy{}, true, false},
		{"required, no handshake", smtptest.Options{TLS: &tls.Config{}}, smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired}, false, false},
		{"required, not verified", smtptest.Options{TLS: conf}, smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired, Verify: refuse}, false, false},
		{"never", smtptest.Options{TLS: conf}, smtpclient.TLSPolicy{Mode: smtpclient.TLSNever}, true, false},
	} {
		srv := smtptest.New(t, tt.opt)
		to := target(srv)
		to.TLS = tt.policy
		c, err := dialer().Connect(t.Context(), to)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err != nil {
			continue
		}
		res := c.Send(t.Context(), message("x"))
		if msgs := srv.Messages(); brief(res) != "250/2.0.0" || msgs[0].TLS != tt.tls || (c.TLS() != nil) != tt.tls {
			t.Errorf("%s: %s, %+v", tt.name, brief(res), msgs)
		}
		_ = c.Close()
	}
}

// A known server's session is resumed, and its certificate verified all the same.
func TestResumption(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{TLS: smtptest.Certificate(t, "mx.test")})
	d := dialer()
	d.Sessions = tls.NewLRUClientSessionCache(10)
	verified := 0
	to := target(srv)
	to.TLS = smtpclient.TLSPolicy{Mode: smtpclient.TLSRequired, Verify: func(cs tls.ConnectionState) error {
		verified += len(cs.PeerCertificates)
		return nil
	}}
	for i := range 2 {
		c := connect(t, d, to)
		if res := c.Send(t.Context(), message("x")); res.Err != nil || c.TLS().DidResume != (i == 1) {
			t.Errorf("connection %d: %v, resumed %v", i, res.Err, c.TLS().DidResume)
		}
		_ = c.Quit(t.Context())
	}
	if verified != 2 {
		t.Errorf("verified %d times", verified)
	}
}

func TestAuth(t *testing.T) {
	conf := smtptest.Certificate(t, "mx.test")
	hook := func(c smtptest.Command) smtptest.Reaction {
		switch {
		case c.Verb == "AUTH" && c.Arg == "PLAIN AGFkYQBwdw==":
			return smtptest.Reaction{Reply: "235 2.7.0 welcome"}
		case c.Verb == "AUTH":
			return smtptest.Reaction{Reply: "535 5.7.8 wrong"}
		}
		return smtptest.Reaction{}
	}
	srv := smtptest.New(t, smtptest.Options{Extensions: []string{"AUTH=LOGIN", "AUTH CRAM-MD5 PLAIN"}, TLS: conf, Hook: hook})
	to := target(srv)
	to.Auth = &sasl.Credentials{Login: "ada", Password: "pw"}
	c := connect(t, dialer(), to)
	if got := brief(c.Send(t.Context(), message("x"))); got != "250/2.0.0" {
		t.Error(got)
	}
	to.Auth = &sasl.Credentials{Login: "ada", Password: "no"}
	_, err := dialer().Connect(t.Context(), to)
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Reply.Code != 435 || e.Reply.Enhanced != [3]uint8{4, 7, 8} {
		t.Errorf("wrong password: %v", err)
	}
	to.TLS.Mode = smtpclient.TLSNever
	if _, err := dialer().Connect(t.Context(), to); err == nil {
		t.Error("password sent without TLS")
	}
	for _, cmd := range srv.Commands() {
		if cmd.Verb == "AUTH" && !cmd.TLS {
			t.Errorf("%+v", cmd)
		}
	}
	if strings.Contains(err.Error(), "pw") {
		t.Error(err)
	}
}

func TestStaleConnection(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Conn == 1 && c.Verb == "QUIT" {
			return smtptest.Reaction{Reply: "221 bye", Close: true}
		}
		return smtptest.Reaction{Close: c.Verb == "MAIL" && strings.Contains(c.Arg, "stale")}
	}})
	c := connect(t, dialer(), target(srv))
	if res := c.Send(t.Context(), message("x")); res.Stale || res.Err != nil {
		t.Fatal(res.Err)
	}
	m := message("x")
	m.Envelope.ReversePath.Local = "stale"
	if res := c.Send(t.Context(), m); !res.Stale || brief(res) != "451/4.4.2!" || c.Reusable() {
		t.Errorf("%s, %+v", brief(res), res)
	}
	c = connect(t, dialer(), target(srv))
	if res := c.Send(t.Context(), m); res.Stale {
		t.Error("a new connection is not stale")
	}
}

func TestContentFailure(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{})
	for _, content := range []io.Reader{
		io.MultiReader(strings.NewReader(text[:10]), failing{}),
		strings.NewReader(text[:10]),
		strings.NewReader(text + "x"),
	} {
		c := connect(t, dialer(), target(srv))
		m := message("x")
		m.Content = content
		if res := c.Send(t.Context(), m); brief(res) != "451/4.3.0!" || c.Reusable() {
			t.Errorf("%s, %v", brief(res), res.Err)
		}
		_ = c.Close()
	}
	if n := len(srv.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk") }

// A server that refuses in the middle of a large message and closes: its words
// count, not the broken pipe.
func TestEarlyRefusal(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "BODY" {
			return smtptest.Reaction{Reply: "552 5.3.4 too big", Close: true}
		}
		return smtptest.Reaction{}
	}})
	c := connect(t, dialer(), target(srv))
	m := message("x")
	m.Size = 50 << 20
	m.Content = io.LimitReader(zeros{}, m.Size)
	res := c.Send(t.Context(), m)
	// The reset may overtake the words: then it is a lost connection, never unknown.
	if got := brief(res); got != "552/5.3.4" && got != "451/4.4.2!" {
		t.Errorf("%s, %v", got, res.Err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestCancel(t *testing.T) {
	entered := make(chan struct{}, 1)
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "MAIL" || c.Verb == "CONNECT" && c.Conn == 2 {
			entered <- struct{}{}
			return smtptest.Reaction{Hang: true}
		}
		return smtptest.Reaction{}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	c := connect(t, dialer(), target(srv))
	go func() {
		<-entered
		cancel()
	}()
	if res := c.Send(ctx, message("x")); !strings.HasSuffix(brief(res), "!") || c.Reusable() {
		t.Errorf("%s", brief(res))
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := dialer().Connect(ctx, target(srv)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestPublicOnly(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1": false, "10.1.2.3": false, "192.168.1.1": false, "172.31.0.1": false, "169.254.169.254": false,
		"0.0.0.0": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "::": false,
		"fe80::1": false, "fd00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false,
		"64:ff9b::10.0.0.1": false, "2002:7f00:1::": false, "64:ff9b::8.8.8.8": true,
		"8.8.8.8": true, "2a00:1450::1": true, "172.32.0.1": true,
	} {
		if err := smtpclient.PublicOnly(netip.AddrPortFrom(netip.MustParseAddr(addr), 25)); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
	srv := smtptest.New(t, smtptest.Options{})
	d := &smtpclient.Dialer{Hello: "client.test"}
	if _, err := d.Connect(t.Context(), target(srv)); err == nil {
		t.Error("the zero Dialer connects to loopback")
	}
	if total, _ := srv.Conns(); total != 0 {
		t.Error("it did connect")
	}
}
