package peers_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/internal/peers"
	"posthouse/mail"
	"posthouse/smtpclient"
	"posthouse/smtpclient/smtptest"
)

// A Postfix keeps mail for its users, refuses the rest, and relays by its routes.
func TestPostfix(t *testing.T) {
	came := make(chan smtptest.Message, 1)
	next := smtptest.New(t, smtptest.Options{Extensions: []string{"DSN"}, OnMessage: func(m smtptest.Message) { came <- m }})
	p := peers.StartPostfix(t, peers.PostfixOptions{Users: []string{"ada"}, Routes: map[string]string{"demo.test": next.Addr.String()}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d := smtpclient.Dialer{Hello: "test.test", AddrPolicy: smtpclient.AnyAddr}
	c, err := d.Connect(ctx, smtpclient.Target{Host: p.Name, Addr: netip.MustParseAddrPort(p.SMTP)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const text = "Subject: hi\r\n\r\nbody\r\n"
	env := mail.Envelope{ReversePath: mail.Address{Local: "x", Domain: "demo.test"}}
	for _, to := range []mail.Address{{Local: "ada", Domain: "pf.test"}, {Local: "ben", Domain: "pf.test"}, {Local: "y", Domain: "demo.test"}} {
		env.Recipients = append(env.Recipients, mail.Recipient{Address: to})
	}
	res := c.Send(ctx, smtpclient.Message{Envelope: env, Size: int64(len(text)), Content: strings.NewReader(text)})
	for i, want := range []int{250, 550, 250} {
		if res.Outcomes[i].Reply.Code != want {
			t.Errorf("%s: %v", env.Recipients[i].Address, res.Outcomes[i].Reply)
		}
	}
	if got, err := p.Mail(ctx, "ada", 1); err != nil || !strings.HasSuffix(got[0], "\n\nbody\n") {
		t.Errorf("%q, %v", got, err)
	}
	select {
	case m := <-came:
		if !strings.HasPrefix(m.From, "<x@demo.test>") || !strings.HasSuffix(m.Data, "\r\n\r\nbody\r\n") {
			t.Errorf("%+v", m)
		}
	case <-ctx.Done():
		t.Error("nothing was relayed")
	}
}
