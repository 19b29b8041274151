package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient"
	"posthouse/smtpclient/smtptest"
	"posthouse/store/engine"
)

var extensions = []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "SIZE 1000000"}

func TestDelivers(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.add("x@b.test", "y@b.test", "z@implicit.test")
	w.idle()
	msgs := srv.Messages()
	if len(msgs) != 2 {
		t.Fatalf("%+v", msgs)
	}
	for _, m := range msgs {
		if m.Data != "Received: from x\r\n"+text || !strings.HasPrefix(m.From, "<ada@a.test>") {
			t.Errorf("%+v", m)
		}
	}
	if len(msgs[0].To)+len(msgs[1].To) != 3 {
		t.Errorf("%+v", msgs)
	}
	w.empty()
	if s := w.q.Stats(); s.Delivered != 3 || s.Added != 2 || s.Attempts != 2 || len(w.inj.all()) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPrepareWithoutCommitLeavesNothing(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{})
	w := newWorld(t, srv.Addr.Port(), nil)
	if _, err := w.q.Prepare(envelope("x@b.test"), queue.Message{Blob: &engine.Blob{Bytes: []byte(text)}, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	w.q.Wake()
	w.add("y@b.test")
	w.idle()
	if msgs := srv.Messages(); len(msgs) != 1 || msgs[0].To[0] != "<y@b.test>" {
		t.Errorf("%+v", msgs)
	}
	w.empty()
}

// The verdicts that need no server.
func TestNoWay(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{})
	for domain, want := range map[string][]string{
		"null.test":        {"Status: 5.1.10", "takes no mail"},
		"gone.test":        {"Status: 5.1.2", "does not exist"},
		"empty.test":       {"Status: 5.1.2", "has no mail"},
		"nohost.test":      {"Status: 5.1.2", "has no mail"},
		"self.test":        {"Status: 5.4.6", "loops back"},
		"selfip.test":      {"Status: 5.4.6", "loops back"},
		"[127.0.0.9]":      {"Status: 5.4.6", "loops back"},
		"b\u00fccher.test": {"Status: 5.1.2", "Final-Recipient: rfc822; x@xn--bcher-kva.test"},
	} {
		w := newWorld(t, srv.Addr.Port(), nil)
		w.add("x@" + domain)
		w.idle()
		w.empty()
		got := w.inj.all()
		if len(got) != 1 || got[0].env.Recipients[0].Address.String() != "ada@a.test" {
			t.Fatalf("%s: %+v", domain, got)
		}
		_, fields, back := parts(t, got[0])
		contains(t, fields, append(want, "Action: failed", "Reporting-MTA: dns; here.test")...)
		contains(t, back, "text/rfc822-headers", "Subject: hi")
		if strings.Contains(back, "body") {
			t.Error("the body was returned")
		}
	}
	if total, _ := srv.Conns(); total != 0 {
		t.Errorf("%d connections", total)
	}
}

func TestHostsInOrder(t *testing.T) {
	good := smtptest.New(t, smtptest.Options{})
	// No lingering: an open connection goes before the order of hosts.
	w := newWorld(t, good.Addr.Port(), func(o *queue.Options) { o.Linger = -1 })
	w.add("x@two.test") // nobody listens at the first MX
	w.add("x@backup.test")
	w.idle()
	w.empty()
	if len(good.Messages()) != 2 {
		t.Errorf("%+v", good.Messages())
	}
	// The first refuses for now, the second takes it.
	busy := smtptest.New(t, smtptest.Options{Addr: fmt.Sprintf("127.0.0.2:%d", good.Addr.Port()), Hook: answer("MAIL", "", "451 4.7.1 later")})
	w.add("y@two.test")
	w.idle()
	w.empty()
	if v := busy.Verbs(); !strings.Contains(v, "MAIL") || len(good.Messages()) != 3 {
		t.Errorf("%s, %+v", v, good.Messages())
	}
}

func TestTemporaryLookup(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.dns.SetFault("b.test", "MX", dnstest.ServFail)
	w.dns.SetFault("mx2.two.test", "", dnstest.ServFail)
	w.dns.SetFault("mx.b.test", "", dnstest.ServFail)
	w.add("x@b.test")
	w.add("x@two.test")
	w.idle()
	for _, in := range w.list() {
		if r := in.Recipients[0]; r.State != "waiting" || r.LastReply.Enhanced != [3]uint8{4, 4, 3} {
			t.Errorf("%+v", in)
		}
	}
	for _, name := range []string{"b.test", "mx2.two.test", "mx.b.test"} {
		w.dns.SetFault(name, "", dnstest.Fault{})
		w.dns.SetFault(name, "MX", dnstest.Fault{})
	}
	w.clock.add(6 * time.Minute)
	w.idle()
	w.empty()
}

func TestEachRecipient(t *testing.T) {
	var open atomic.Bool
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: func(c smtptest.Command) smtptest.Reaction {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Arg, "never"):
			return smtptest.Reaction{Reply: "550-5.1.1 who\r\n550 5.1.1 is that?"}
		case c.Verb == "RCPT" && strings.Contains(c.Arg, "later") && !open.Load():
			return smtptest.Reaction{Reply: "450 4.2.0 greylisted"}
		}
		return smtptest.Reaction{}
	}})
	w := newWorld(t, srv.Addr.Port(), nil)
	env := envelope("now@b.test", "later@b.test", "never@b.test")
	env.Recipients[2].Original = "rfc822;alias@a.test"
	env.EnvID = "id 1"
	w.addEnv(env)
	w.idle()
	w.check()
	list := w.list()
	if len(list) != 1 || summary(list[0]) != "now@b.test delivered 250; later@b.test waiting 450; never@b.test failed 550" || list[0].Attempts != 1 {
		t.Fatalf("%+v", list)
	}
	got := w.inj.all()
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	plain, fields, _ := parts(t, got[0])
	contains(t, plain, "never@b.test", "mx.b.test[127.0.0.1]", "550 5.1.1 who\r\n    is that?")
	contains(t, fields, "Status: 5.1.1", "Remote-MTA: dns; mx.b.test", "Diagnostic-Code: smtp; 550 5.1.1 who is that?",
		"Original-Recipient: rfc822; alias@a.test", "Final-Recipient: rfc822; never@b.test", "Original-Envelope-Id: id 1", "Arrival-Date:")
	if strings.Contains(fields, "later@") || strings.Contains(fields, "now@") {
		t.Errorf("others are named:\n%s", fields)
	}
	open.Store(true)
	w.clock.add(5*time.Minute - time.Second)
	w.idle()
	if len(w.list()) != 1 {
		t.Error("too early")
	}
	w.clock.add(time.Second)
	w.idle()
	w.empty()
	msgs := srv.Messages()
	if len(msgs) != 2 || fmt.Sprint(msgs[1].To) != "[<later@b.test>]" || len(w.inj.all()) != 1 {
		t.Errorf("%+v", msgs)
	}
}

// The schedule over five days, with the delay report and the end.
func TestScheduleToTheEnd(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "", "451 4.3.0 not\x1b today")})
	var log strings.Builder
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	w.add("x@b.test")
	start := w.clock.Now()
	var at []time.Duration
	for len(at) < 100 {
		w.idle()
		list := w.list()
		if len(list) == 0 {
			break
		}
		at = append(at, list[0].NextAttempt.Sub(start))
		w.clock.add(list[0].NextAttempt.Sub(w.clock.Now()))
	}
	w.empty()
	if want := "[5m0s 15m0s 35m0s 1h15m0s 2h15m0s 4h15m0s 8h15m0s 12h15m0s"; !strings.HasPrefix(fmt.Sprint(at), want) {
		t.Errorf("attempts at %v", at)
	}
	if len(at) != 35 || at[len(at)-1] != 120*time.Hour {
		t.Errorf("%d attempts, the last after %v", len(at)+1, at[len(at)-1])
	}
	got := w.inj.all()
	if len(got) != 2 {
		t.Fatalf("%d reports", len(got))
	}
	plain, fields, _ := parts(t, got[0])
	contains(t, plain, "not been delivered yet", "It will be tried until 7 January 2026, 03:04 UTC")
	contains(t, fields, "Action: delayed", "Status: 4.3.0", "Will-Retry-Until: Wed, 7 Jan 2026 03:04:05 +0000")
	plain, fields, _ = parts(t, got[1])
	contains(t, plain, "It was tried for 5 days", "451 4.3.0 not? today")
	if n := strings.Count(log.String(), `msg="queue: finished"`); n != 1 {
		t.Errorf("the log tells %d times how it ended", n)
	}
	contains(t, log.String(), "to=x@b.test status=expired attempts=36")
	contains(t, fields, "Action: failed", "Status: 4.4.7")
	if s := w.q.Stats(); s.Expired != 1 || s.Bounced != 0 || s.Reports != 2 || s.Attempts != 36 {
		t.Errorf("%+v", s)
	}
}

func TestNotify(t *testing.T) {
	for _, tt := range []struct {
		notify mail.NotifyMask
		ext    string // of the server
		to     string
		want   string // Action of the report
	}{
		{mail.NotifyNever, "", "no", ""},
		{mail.NotifySuccess, "", "no", ""},
		{mail.NotifyDelay, "", "no", ""},
		{mail.NotifyFailure, "", "no", "failed"},
		{0, "", "no", "failed"},
		{0, "", "yes", ""},
		{mail.NotifySuccess, "", "yes", "relayed"},
		{mail.NotifySuccess | mail.NotifyFailure, "", "yes", "relayed"},
		{mail.NotifySuccess, "DSN", "yes", ""},
	} {
		srv := smtptest.New(t, smtptest.Options{Extensions: []string{"X", tt.ext}, Hook: answer("RCPT", "no@", "550 no")})
		w := newWorld(t, srv.Addr.Port(), nil)
		env := envelope(tt.to + "@b.test")
		env.Recipients[0].Notify = tt.notify
		w.addEnv(env)
		w.idle()
		w.empty()
		got := w.inj.all()
		if (len(got) == 1) != (tt.want != "") || len(got) > 1 {
			t.Errorf("%+v: %d reports", tt, len(got))
			continue
		}
		if tt.want != "" {
			_, fields, _ := parts(t, got[0])
			contains(t, fields, "Action: "+tt.want)
		}
		if tt.ext == "DSN" && !strings.Contains(srv.Messages()[0].To[0], "NOTIFY=SUCCESS") {
			t.Errorf("%+v", srv.Messages())
		}
	}
}

func TestReturnFullAndUTF8(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "", "550 5.1.1 no")})
	w := newWorld(t, srv.Addr.Port(), nil)
	env := envelope("x@b.test")
	env.ReturnFull = true
	w.addEnv(env)
	w.idle()
	_, _, back := parts(t, w.inj.all()[0])
	contains(t, back, "Content-Type: message/rfc822", "Received: from x\r\n", "body\r\n")

	env = envelope("ÿ@b.test")
	env.UTF8 = true
	env.ReversePath.Local = "äda"
	w.addEnv(env)
	w.idle()
	w.empty()
	d := w.inj.all()[1]
	_, fields, back := parts(t, d)
	contains(t, fields, "message/global-delivery-status", "Final-Recipient: utf-8; ÿ@b.test", "Status: 5.6.7")
	contains(t, back, "message/global-headers")
	if !d.env.UTF8 || d.env.Body != mail.Body8BitMIME {
		t.Errorf("%+v", d.env)
	}
}

// A sender in an internationalised domain needs no SMTPUTF8 for a report.
func TestReportIsASCII(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "", "550 5.1.1 no")})
	w := newWorld(t, srv.Addr.Port(), nil)
	env := envelope("x@b.test")
	env.ReversePath.Domain = "bücher.test"
	w.addEnv(env)
	w.idle()
	w.empty()
	d := w.inj.all()[0]
	contains(t, d.content, "To: ada@xn--bcher-kva.test\r\n")
	if d.env.UTF8 || d.env.Body != mail.Body7Bit || d.env.Recipients[0].Address.Domain != "bücher.test" {
		t.Errorf("%+v", d.env)
	}
}

func TestDoubleBounce(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "", "550 5.1.1 no")})
	w := newWorld(t, srv.Addr.Port(), nil)
	env := envelope("x@b.test")
	env.ReversePath = mail.Address{}
	w.addEnv(env)
	w.idle()
	w.empty()
	if s := w.q.Stats(); s.DoubleBounces != 1 || len(w.inj.all()) != 0 {
		t.Errorf("%+v", s)
	}
}

// The answer to the final dot is not read: this message, and no other, comes again.
func TestUnknownIsRepeated(t *testing.T) {
	var lost atomic.Bool
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		return smtptest.Reaction{Close: c.Verb == "." && lost.CompareAndSwap(false, true)}
	}})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.add("x@backup.test") // its other hosts must not be tried
	w.idle()
	if n := strings.Count(srv.Verbs(), "DATA"); n != 1 || len(w.list()) != 1 {
		t.Errorf("%d transactions", n)
	}
	w.clock.add(5 * time.Minute)
	w.idle()
	w.empty()
	if n := strings.Count(srv.Verbs(), "DATA"); n != 2 {
		t.Errorf("%d transactions", n)
	}
}

func TestReuseAndConcurrency(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Limits.PerDestination = 7; o.Limits.PerConnection = 30 })
	for i := range 300 {
		w.add(fmt.Sprintf("r%d@b.test", i))
	}
	w.idle()
	w.empty()
	total, most := srv.Conns()
	if len(srv.Messages()) != 300 || most > 8 || total > 100 { // one may still say QUIT
		t.Errorf("%d messages, %d connections, %d at a time", len(srv.Messages()), total, most)
	}
	perConn := map[int]int{}
	for _, m := range srv.Messages() {
		perConn[m.Conn]++
	}
	for c, n := range perConn {
		if n > 30 {
			t.Errorf("connection %d: %d messages", c, n)
		}
	}
}

// Few messages one after the other go over one connection.
func TestLinger(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Linger = time.Minute })
	for i := range 5 {
		w.add(fmt.Sprintf("r%d@b.test", i))
		w.idle()
	}
	w.empty()
	if total, _ := srv.Conns(); total != 1 {
		t.Errorf("%d connections", total)
	}
	w.close() // does not wait for the minute
	if v := srv.Verbs(); !strings.HasSuffix(v, "QUIT") {
		t.Errorf("%s", v)
	}
}

// Recipients that are too many for one transaction follow at once.
func TestTooManyRecipients(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: []string{"PIPELINING", "LIMITS RCPTMAX=2"}})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.add("a@b.test", "b@b.test", "c@b.test", "d@b.test", "e@b.test")
	for range 2 {
		w.idle()
		w.clock.add(10 * time.Second)
	}
	w.idle()
	w.empty()
	if n := len(srv.Messages()); n != 3 {
		t.Errorf("%d transactions", n)
	}
}

// A connection that the server closed meanwhile costs no message its attempt.
func TestStaleConnection(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		return smtptest.Reaction{Close: c.Conn == 1 && c.Verb == "MAIL" && strings.Contains(c.Arg, "second")}
	}})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Limits.PerDestination = 1 })
	first, second := envelope("x@b.test"), envelope("y@b.test")
	second.ReversePath.Local = "second"
	w.addEnv(first)
	w.addEnv(second)
	w.idle()
	w.empty()
	if len(srv.Messages()) != 2 {
		t.Errorf("%+v", srv.Messages())
	}
}

func TestPausedDestination(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("CONNECT", "", "421 4.3.2 overloaded")})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Limits.PerDestination = 1 })
	for i := range 50 {
		w.add(fmt.Sprintf("r%d@b.test", i))
	}
	w.idle()
	if total, _ := srv.Conns(); total != 1 {
		t.Errorf("%d connections", total)
	}
	if s := w.q.Stats(); s.Paused != 1 || s.Entries != 50 || s.Attempts != 50 {
		t.Errorf("%+v", s)
	}
	for _, in := range w.list() {
		if in.Recipients[0].LastReply.Code != 421 || in.Attempts != 1 {
			t.Fatalf("%+v", in)
		}
	}
	w.clock.add(5 * time.Minute)
	w.idle()
	if total, _ := srv.Conns(); total != 2 {
		t.Errorf("%d connections", total)
	}
}

// A 5xx greeting is final if all hosts say so.
func TestGreetingRefused(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("CONNECT", "", "554 5.7.1 not you")})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.add("x@b.test")
	w.add("x@two.test") // the other host does not answer
	w.idle()
	list := w.list()
	if len(list) != 1 || summary(list[0]) != "x@two.test waiting 454" {
		t.Errorf("%+v", list)
	}
	if got := w.inj.all(); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestRoutes(t *testing.T) {
	smart := smtptest.New(t, smtptest.Options{})
	lmtp := smtptest.New(t, smtptest.Options{LMTP: true, Hook: answer(".", "full", "452 4.2.2 full")})
	w := newWorld(t, 1, func(o *queue.Options) {
		o.Router = queue.Routes{
			Smarthost: &queue.Hop{Host: "mx.b.test", Port: smart.Addr.Port()},
			Domains:   map[mail.Domain]queue.Hop{"l.test": {Host: "localhost", Port: lmtp.Addr.Port(), Mode: smtpclient.LMTP}},
		}
		o.Dialer.AddrPolicy = nil // hops may be anywhere all the same
	})
	w.add("a@x.test", "b@y.test", "c@l.test", "full@l.test")
	w.idle()
	if m := smart.Messages(); len(m) != 1 || len(m[0].To) != 2 {
		t.Errorf("smarthost: %+v", m)
	}
	if m := lmtp.Messages(); len(m) != 1 || len(m[0].To) != 1 {
		t.Errorf("lmtp: %+v", m)
	}
	if list := w.list(); len(list) != 1 || summary(list[0]) != "c@l.test delivered 250; full@l.test waiting 452" {
		t.Errorf("%+v", list)
	}
}

// Without AnyAddr an MX on loopback is out of bounds.
func TestAddressPolicy(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Dialer.AddrPolicy = nil })
	w.add("x@b.test")
	w.idle()
	if total, _ := srv.Conns(); total != 0 || len(w.list()) != 1 {
		t.Errorf("%d connections, %+v", total, w.list())
	}
}

func TestFullQueue(t *testing.T) {
	w := newWorld(t, 1, func(o *queue.Options) { o.Limits.Entries = 2 })
	w.dns.SetFault("b.test", "MX", dnstest.ServFail)
	w.add("x@b.test")
	w.add("x@b.test")
	w.idle()
	err := w.q.Add(t.Context(), envelope("x@b.test"), queue.Message{Blob: &engine.Blob{Bytes: []byte(text)}, Size: 1})
	if mail.KindOf(err) != mail.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestInjectorFails(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "", "550 5.1.1 no")})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.inj.fail(&mail.Error{Kind: mail.Unavailable})
	w.add("x@b.test")
	w.idle()
	if list := w.list(); len(list) != 1 || summary(list[0]) != "x@b.test failed 550" {
		t.Fatalf("%+v", list)
	}
	w.check()
	w.reopen() // what is owed is not forgotten
	w.inj.fail(nil)
	w.clock.add(5 * time.Minute)
	w.idle()
	w.empty()
	if got := w.inj.all(); len(got) != 1 || strings.Count(srv.Verbs(), "RCPT") != 1 {
		t.Errorf("%+v, %s", got, srv.Verbs())
	}
	// A full mailbox has its time.
	w.inj.fail(&mail.Error{Kind: mail.OverQuota})
	w.add("x@b.test")
	w.idle()
	for range 9 {
		w.clock.add(24 * time.Hour)
		w.idle()
	}
	if len(w.list()) != 1 {
		t.Error("given up early")
	}
	w.clock.add(25 * time.Hour)
	w.idle()
	w.empty()
	// The sender is not there: nothing to be done.
	w.inj.fail(&mail.Error{Kind: mail.NotFound})
	w.add("x@b.test")
	w.idle()
	w.empty()
}

// A server that does not answer QUIT does not hold up Close.
func TestCloseDuringQuit(t *testing.T) {
	quit := make(chan struct{})
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "QUIT" {
			close(quit)
			return smtptest.Reaction{Hang: true}
		}
		return smtptest.Reaction{}
	}})
	w := newWorld(t, srv.Addr.Port(), func(o *queue.Options) { o.Linger = -1; o.Dialer.Timeouts.Reset = time.Hour })
	w.add("x@b.test")
	<-quit
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = w.q.Close(ctx)
}

func TestClose(t *testing.T) {
	hang := make(chan struct{}, 1)
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "RCPT" && c.Conn == 1 {
			hang <- struct{}{}
			return smtptest.Reaction{Hang: true}
		}
		return smtptest.Reaction{}
	}})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.add("x@b.test")
	<-hang
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = w.q.Close(ctx)
	if err := w.q.Add(t.Context(), envelope("y@b.test"), queue.Message{Blob: &engine.Blob{Bytes: []byte(text)}}); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("%v", err)
	}
	w.reopen()
	w.idle() // no waiting: an attempt that was broken off does not count
	w.empty()
	if len(srv.Messages()) != 1 {
		t.Errorf("%+v", srv.Messages())
	}
}
