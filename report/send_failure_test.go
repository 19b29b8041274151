package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/spf"
	"posthouse/message"
)

const failedHeader = "From: Ann <ann@fail.test>\r\nTo: secret@here.test\r\nSubject: secret plans\r\nReceived: from a by b for <secret@here.test>\r\n" +
	"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@fail.test>\r\nDKIM-Signature: v=1; a=rsa-sha256;\r\n\td=else.test; s=s1; b=\xff\r\n\r\n"

// failed counts messages that DMARC does not confirm.
func (d *desk) failed(source string, n int) {
	h := message.ParseHeader([]byte(failedHeader), message.Limits{})
	d.count("fail.test", source, n, func(e *Evaluation) {
		e.Sender, e.Header = mail.Address{Local: "secret", Domain: "bounce.fail.test"}, &h
		e.DKIM[0].Identity = "@else.test"
	})
}

// RFC 7489 §7.3 and RFC 6591 §3: a failure is told within minutes to those who asked for it
// and agreed, once a day for what is alike, over restarts; nothing of recipients, subject
// and content is told. Our own reader reads it.
func TestFailureReport(t *testing.T) {
	d := newDesk(t)
	d.failed("192.0.2.1", 3)
	if err := d.tally.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.failed("192.0.2.1", 2)
	d.send()
	d.failed("192.0.2.1", 7) // has been told
	d.send()
	if len(d.to("f@fail.test")) != 1 || len(d.to("x@out.test")) != 1 || len(d.to("v@innocent.test")) != 0 {
		t.Fatalf("%v", d.got)
	}
	p := d.to("f@fail.test")[0]
	for _, field := range []string{"Feedback-Type: auth-failure\r\n", "Auth-Failure: dmarc\r\n", "Identity-Alignment: none\r\n", "Delivery-Result: reject\r\n", "Incidents: 5\r\n", "Source-IP: 192.0.2.1\r\n",
		"Reported-Domain: fail.test\r\n", "Authentication-Results: mx.here.test; dmarc=fail header.from=fail.test\r\n", "DKIM-Domain: else.test\r\n", "DKIM-Identity: @else.test\r\n", "DKIM-Selector: s1\r\n",
		"SPF-DNS: txt : bounce.fail.test : \"v=spf1 ip4:198.51.100.1 -all\"\r\n", "@bounce.fail.test>\r\n", "Content-Type: text/rfc822-headers", "From: Ann <ann@fail.test>\r\n", "d=else.test; s=s1; b=?\r\n", "report-type=feedback-report", "Auto-Submitted: auto-generated"} {
		if !strings.Contains(p.text, field) {
			t.Errorf("no %q in\n%s", field, p.text)
		}
	}
	if strings.Contains(p.text, "secret") || !p.env.ReversePath.IsNull() {
		t.Errorf("%+v\n%s", p.env, p.text)
	}
	m := message.Parse([]byte(p.text))
	rep, ok, err := Read(m, strings.NewReader(p.text))
	if !ok || err != nil || rep.Kind != Feedback || rep.Policy != "auth-failure" || rep.Domain != "fail.test" || !Looks(m) {
		t.Errorf("%+v, %v, %v", rep, ok, err)
	}
	d.pass(13 * time.Hour) // of the next day
	d.send()
	if n := d.left(); n != 0 || len(d.got) != 2 {
		t.Errorf("%d keys are left, %d sent", n, len(d.got))
	}
}

// What differs is told ten times a day, and nothing that nobody asked for.
func TestFailureBounds(t *testing.T) {
	d := newDesk(t)
	for i := range 40 {
		d.failed(fmt.Sprintf("192.0.2.%d", i), 1)
		d.tally.Flush(t.Context())
	}
	d.count("victim.test", "192.0.2.1", 1, nil) // wants aggregates only
	list, err := NewSender(d.opts).Pending(t.Context())
	if err != nil || len(list) != maxFailures+1 {
		t.Fatalf("%d pending, %v", len(list), err)
	}
	d.send()
	if got := d.to("f@fail.test"); len(got) != maxFailures {
		t.Errorf("%d reports", len(got))
	}
	d.pass(48 * time.Hour)
	d.send()
	if n := d.left(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	d.tally.opts.Failures = false
	d.failed("192.0.2.1", 1)
	d.send()
	if got := d.to("f@fail.test"); len(got) != maxFailures {
		t.Errorf("%d reports", len(got))
	}
}

// What fo= asks for, RFC 7489 §6.3.
func TestFailureOptions(t *testing.T) {
	type found struct {
		dkim, spf     bool // aligned
		sig           dkim.Status
		host          spf.Status
		quiet, format bool
	}
	for _, c := range []struct {
		fo   string
		f    found
		want string
	}{
		{"0", found{sig: dkim.Fail, host: spf.Fail}, failedDMARC},
		{"0", found{spf: true, sig: dkim.Fail, host: spf.Pass}, ""},
		{"1", found{spf: true, sig: dkim.Fail, host: spf.Pass}, failedDMARC},
		{"1", found{dkim: true, spf: true, sig: dkim.Pass, host: spf.Pass}, ""},
		{"d", found{spf: true, sig: dkim.Fail, host: spf.Pass}, failedSignature},
		{"d", found{sig: dkim.Pass, host: spf.Fail}, ""},
		{"s", found{dkim: true, sig: dkim.Pass, host: spf.SoftFail}, failedSPF},
		{"s", found{sig: dkim.Pass, host: spf.None}, ""},
		{"d:s", found{dkim: true, sig: dkim.Fail, host: spf.Fail}, failedSignature},
		{"0 : S", found{dkim: true, sig: dkim.Pass, host: spf.Fail}, failedSPF},
		{"0", found{sig: dkim.TempError, host: spf.Fail}, ""},
		{"0", found{sig: dkim.Fail, host: spf.TempError}, ""},
		{"0", found{sig: dkim.Fail, host: spf.Fail, quiet: true}, ""},
		{"0", found{sig: dkim.Fail, host: spf.Fail, format: true}, ""},
		{"", found{sig: dkim.Fail, host: spf.Fail}, ""},
	} {
		e := Evaluation{Result: dmarc.Result{DKIM: c.f.dkim, SPF: c.f.spf}, SPF: spf.Result{Status: c.f.host}, DKIM: []dkim.Result{{Status: c.f.sig, Domain: "a.test"}}, Quiet: c.f.quiet}
		e.Policy.Record = dmarc.Record{Failure: []string{"mailto:a@b.test"}, FailureOptions: c.fo, Format: "afrf"}
		if c.f.format {
			e.Policy.Record.Format = "iodef"
		}
		if got := failureOf(&e); got != c.want {
			t.Errorf("fo=%s %+v: %q", c.fo, c.f, got)
		}
	}
}
