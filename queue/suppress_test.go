package queue_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
)

// An address that does not exist is no longer written to after two messages came back, for
// a while, over restarts; one that takes mail is forgotten.
func TestSuppression(t *testing.T) {
	var gone atomic.Bool
	gone.Store(true)
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: func(c smtptest.Command) smtptest.Reaction {
		switch {
		case c.Verb == "RCPT" && strings.Contains(strings.ToLower(c.Arg), "gone@") && gone.Load():
			return smtptest.Reaction{Reply: "550 5.1.1 no such user"}
		case c.Verb == "RCPT" && strings.Contains(c.Arg, "spam@"):
			return smtptest.Reaction{Reply: "550 5.7.1 we do not like you"}
		}
		return smtptest.Reaction{}
	}})
	w := newWorld(t, srv.Addr.Port(), nil)
	send := func(account mail.AccountID, to ...string) {
		t.Helper()
		env := envelope(to...)
		env.Account = account
		w.addEnv(env)
		w.idle()
	}
	a := func(s string) mail.Address { return mail.Address{Local: s, Domain: "b.test"} }
	stopped := func(to string, want bool) mail.Reply {
		t.Helper()
		r, is := w.q.Suppressed("a.test", a(to))
		if is != want {
			t.Fatalf("%s: %v, %+v", to, r, w.q.Suppressions())
		}
		return r
	}
	send(7, "gone@b.test", "spam@b.test", "ok@b.test")
	stopped("gone", false) // once may be a mistake
	send(7, "gone@b.test") // at once: nothing new
	stopped("gone", false)
	w.clock.add(2 * time.Hour)
	w.reopen()
	send(0, "gone@b.test") // forwarded, or a report: nobody here wrote it
	stopped("gone", false)
	w.inj.fail(&mail.Error{Kind: mail.Unavailable}) // the result cannot be told: it does not count yet
	send(7, "GONE@b.test", "spam@b.test")
	stopped("gone", false)
	w.inj.fail(nil)
	w.clock.add(time.Hour)
	w.idle()
	r := stopped("Gone", true)
	if r.Code != 550 || !strings.Contains(r.Text, "until 2026-02-01") || !strings.Contains(r.Text, "no such user") || !strings.Contains(r.Text, "posthouse queue suppressed remove Gone@b.test") {
		t.Error(r)
	}
	stopped("spam", false) // it is there
	stopped("ok", false)
	if _, is := w.q.Suppressed("other.test", a("gone")); is {
		t.Error("another domain's")
	}
	w.reopen()
	stopped("gone", true)
	gone.Store(false)
	send(7, "gone@b.test") // what is in the queue goes all the same; and it was taken
	stopped("gone", false)
	if l := w.q.Suppressions(); len(l) != 0 {
		t.Errorf("%+v", l)
	}
	gone.Store(true)
	for range 2 {
		send(7, "gone@b.test")
		w.clock.add(2 * time.Hour)
	}
	stopped("gone", true)
	w.clock.add(31 * 24 * time.Hour)
	stopped("gone", false)
	w.check()
}

func TestSuppressionByHand(t *testing.T) {
	w := newWorld(t, 1, func(o *queue.Options) { o.Limits.Suppressed = 2 })
	ctx := t.Context()
	bob := mail.Address{Local: "bob", Domain: "b.test"}
	if err := w.q.Complained(ctx, "a.test", bob, "report of b.test"); err != nil {
		t.Fatal(err)
	}
	if r, is := w.q.Suppressed("A.test", bob); !is || !strings.Contains(r.Text, "complained") {
		t.Error(r, is)
	}
	if err := w.q.Suppress(ctx, queue.Suppression{From: "c.test", To: bob, Reason: queue.ByOperator, Said: "asked\r\nus", Until: w.clock.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if r, _ := w.q.Suppressed("c.test", bob); !strings.Contains(r.Text, "asked  us") {
		t.Error(r)
	}
	if err := w.q.Suppress(ctx, queue.Suppression{From: "a.test", To: mail.Address{Local: "eve", Domain: "b.test"}, Reason: queue.ByOperator}); mail.KindOf(err) != mail.TooLarge {
		t.Error("over the limit:", err)
	}
	w.clock.add(time.Hour)
	if err := w.q.Suppress(ctx, queue.Suppression{From: "a.test", To: mail.Address{Local: "eve", Domain: "b.test"}, Reason: queue.ByOperator}); err != nil {
		t.Error("one has ended:", err)
	}
	if n, err := w.q.Unsuppress(ctx, "", mail.Address{Local: "BOB", Domain: "b.test"}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if _, err := w.q.Unsuppress(ctx, "", bob); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
	w.reopen()
	if l := w.q.Suppressions(); len(l) != 1 || l[0].To.Local != "eve" || l[0].Reason != queue.ByOperator {
		t.Errorf("%+v", l)
	}
}

// What bounces later counts as what is refused at once.
func TestReturned(t *testing.T) {
	w := newWorld(t, 1, nil)
	ctx := t.Context()
	bob := mail.Address{Local: "bob", Domain: "b.test"}
	for _, want := range []bool{false, false, true} { // the second is too soon to count
		if err := w.q.Returned(ctx, "l.test", bob, "failed 5.1.1"); err != nil {
			t.Fatal(err)
		}
		if _, is := w.q.Suppressed("l.test", bob); is != want {
			t.Error("after bounces:", is, w.q.Suppressions())
		}
		if !want {
			w.clock.add(40 * time.Minute)
		}
	}
	if n, err := w.q.Unsuppress(ctx, "l.test", bob); n != 1 || err != nil {
		t.Error(n, err)
	}
}
