package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
)

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// FUTURERELEASE, RFC 4865 §4.2: nothing before its time, and the time to deliver begins
// then.
func TestHoldUntil(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := newWorld(t, srv.Addr.Port(), nil)
	env := envelope("x@b.test")
	env.HoldUntil = w.clock.Now().Add(30 * 24 * time.Hour)
	w.addEnv(env)
	w.idle()
	w.reopen()
	w.clock.add(30*24*time.Hour - time.Second)
	w.idle()
	if len(srv.Messages()) != 0 || len(w.inj.all()) != 0 {
		t.Fatalf("%+v, %+v", srv.Messages(), w.inj.all())
	}
	w.clock.add(time.Second)
	w.idle()
	w.empty()
	if len(srv.Messages()) != 1 {
		t.Error("not sent")
	}
}

// What waits for its time and is for a domain of ours comes home, once, and is told of
// where it cannot.
func TestHoldUntilAtHome(t *testing.T) {
	w := newWorld(t, 1, func(o *queue.Options) {
		o.Local = func(_ context.Context, d mail.Domain) bool { return d == "here.test" }
	})
	env := envelope("x@here.test", "y@here.test")
	env.HoldUntil = w.clock.Now().Add(time.Hour)
	w.addEnv(env)
	w.idle()
	w.clock.add(time.Hour)
	w.inj.fail(&mail.Error{Kind: mail.OverQuota})
	w.idle()
	if l := w.list(); len(l) != 1 || summary(l[0]) != "x@here.test waiting 452; y@here.test waiting 452" {
		t.Errorf("%+v", l)
	}
	w.inj.fail(nil)
	w.clock.add(time.Hour)
	w.idle()
	w.empty()
	got := w.inj.all()
	if len(got) != 2 || got[0].env.ReversePath.Local != "ada" || !strings.HasSuffix(got[1].content, text) || got[1].env.Recipients[0].Address.Local != "y" {
		t.Errorf("%+v", got)
	}
}

// DELIVERBY, RFC 2852 §4.1.3: in mode R it goes back when the time is over, in mode N
// its sender is told and it is tried on.
func TestDeliverBy(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: answer("RCPT", "", "450 4.2.0 later")})
	w := newWorld(t, srv.Addr.Port(), nil)
	for _, back := range []bool{true, false} {
		env := envelope(fmt.Sprintf("%v@b.test", back))
		env.DeliverBy, env.ByReturn = w.clock.Now().Add(17*time.Minute), back
		w.addEnv(env)
	}
	for range 16 {
		w.idle()
		w.clock.add(time.Minute)
	}
	if got := w.inj.all(); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	for range 3 {
		w.clock.add(time.Minute)
		w.idle()
	}
	got := w.inj.all()
	if len(got) != 2 || len(w.list()) != 1 {
		t.Fatalf("%+v; %+v", got, w.list())
	}
	for _, d := range got {
		_, fields, _ := parts(t, d)
		if contains(t, fields, "Deliver-By-Date: "); len(fields) > 0 && !has(fields, "Action: failed", "Status: 5.4.7") && !has(fields, "Action: delayed", "Status: 4.4.7") {
			t.Error(fields)
		}
	}
	w.clock.add(3 * time.Hour)
	w.idle()
	if n := len(w.inj.all()); n != 2 {
		t.Errorf("%d reports", n)
	}
}

func has(s string, want ...string) bool {
	for _, x := range want {
		if !strings.Contains(s, x) {
			return false
		}
	}
	return true
}

// An operator sends what waits another way, and back; and ends its time.
func TestRerouteAndExpiry(t *testing.T) {
	down := smtptest.New(t, smtptest.Options{Hook: answer("CONNECT", "", "450 4.3.2 not today")})
	other := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := newWorld(t, down.Addr.Port(), nil)
	w.add("x@b.test")
	w.add("y@b.test")
	w.idle()
	list := w.list()
	for _, bad := range []string{"nohost", "h:0", ":25", "a/b:25"} {
		if err := w.q.Reroute(t.Context(), list[0].ID, bad); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := w.q.Reroute(t.Context(), list[0].ID, other.Addr.String()); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	w.idle()
	if m := other.Messages(); len(m) != 1 || len(w.list()) != 1 {
		t.Errorf("%+v, %+v", m, w.list())
	}
	if err := w.q.Reroute(t.Context(), list[1].ID, "192.0.2.1:25"); err != nil {
		t.Fatal(err)
	}
	if err := w.q.Reroute(t.Context(), list[1].ID, ""); err != nil && mail.KindOf(err) != mail.Conflict {
		t.Fatal(err)
	}
	w.idle()
	w.check()
	in, err := w.q.Show(t.Context(), list[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if want := w.clock.Now().Add(time.Hour); true {
		if err := w.q.SetExpiry(t.Context(), in.ID, want); err != nil {
			t.Fatal(err)
		}
		if in, _ = w.q.Show(t.Context(), in.ID); !in.Expires.Equal(want) {
			t.Errorf("%+v", in)
		}
	}
	w.clock.add(time.Hour)
	w.idle()
	w.empty()
	if d := w.inj.all(); len(d) != 1 {
		t.Errorf("%+v", d)
	}
}

// Routes that are applied hold for what waits; what was there before does not.
func TestApply(t *testing.T) {
	old := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb != "RCPT" {
			return smtptest.Reaction{}
		}
		return smtptest.Reaction{Reply: "450 4.3.0 not here"}
	}})
	fresh := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := newWorld(t, old.Addr.Port(), nil)
	w.add("x@b.test")
	w.idle()
	o := w.opts
	o.Router = queue.Routes{Smarthost: &queue.Hop{Host: "127.0.0.1", Port: fresh.Addr.Port()}}
	o.Lifetime = time.Hour
	w.q.Apply(o)
	w.clock.add(20 * time.Minute)
	w.idle()
	w.empty()
	if len(fresh.Messages()) != 1 || len(old.Messages()) != 0 {
		t.Errorf("%d there, %d here", len(fresh.Messages()), len(old.Messages()))
	}
}
