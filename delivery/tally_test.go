package delivery

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/report"
	"posthouse/store/engine"
)

// What DMARC says of mail that comes is counted, and goes as a signed report to the domain,
// whose reader finds in it what was done. Reports make no reports.
func TestSendsReports(t *testing.T) {
	c := newChecked(t, nil)
	ctx := t.Context()
	_, err := c.dir.EnsureSigningKeys(ctx, "demo.test")
	must(t, err)
	c.dns.SetZone(t, senderZone+`
_dmarc.loud.test. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@loud.test"
_dmarc.calm.test. TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@calm.test"
loud.test.        TXT "v=spf1 ip4:192.0.2.1 -all"
loud.test.        MX 10 mx.far.test.
calm.test.        MX 10 mx.far.test.
`)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	c.svc.opts.Tally = report.OpenTally(report.TallyOptions{Engine: c.eng, DMARC: true, Now: clock, Delay: time.Hour})
	for _, m := range []struct{ ip, from, text string }{
		{good, "a@loud.test", from("a@loud.test")}, {good, "a@loud.test", from("a@loud.test")},
		{bad, "b@far.test", from("a@loud.test")},
		{bad, "a@calm.test", "Subject: Report Domain: demo.test Submitter: calm.test\r\n" + from("a@calm.test")},
		{good, "a@plain.test", from("a@plain.test")}, // has no policy
	} {
		c.send(at(m.ip), m.from, []string{"ada@demo.test"}, m.text).Accept(ctx)
	}
	now = now.Add(30 * time.Hour)
	text := ""
	snd := report.NewSender(report.SenderOptions{Engine: c.eng, Resolver: c.dns.Client(t, dns.Options{}), Tally: c.svc.opts.Tally, Hostname: "mx.demo.test", Rand: rand.Reader, Now: clock,
		From: func(context.Context) (mail.Address, error) {
			return mail.Address{Local: "postmaster", Domain: "demo.test"}, nil
		},
		Inject: func(ctx context.Context, env mail.Envelope, content []byte, also *engine.Batch) error {
			text = string(content)
			return c.svc.Inject(ctx, env, content, also)
		}})
	must(t, snd.SendDue(ctx))
	must(t, c.svc.opts.Tally.Close(ctx))
	all := c.queued()
	if len(all) != 1 || !strings.Contains(all[0], "dmarc@loud.test") {
		t.Fatalf("%q", all)
	}
	if !strings.Contains(all[0], "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n\td=demo.test;") {
		t.Errorf("not signed: %.500s", all[0])
	}
	rep, ok, err := report.Read(message.Parse([]byte(text)), strings.NewReader(text))
	if !ok || err != nil || rep.Domain != "loud.test" || rep.Good != 2 || rep.Bad != 1 || len(rep.Rows) != 2 {
		t.Fatalf("%+v, %v\n%s", rep, err, text)
	}
	for _, r := range rep.Rows {
		if r.Source == bad && (r.Detail != "from loud.test, reject" || r.Result != "dkim=fail spf=fail") || r.Source == good && (r.Detail != "from loud.test, none" || r.Result != "dkim=fail spf=pass") {
			t.Errorf("%+v", r)
		}
	}
}
