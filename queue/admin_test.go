package queue_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
)

func TestOperator(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Hook: answer("RCPT", "later", "450 4.2.0 later")})
	w := newWorld(t, srv.Addr.Port(), nil)
	ctx := t.Context()
	w.add("later@b.test")
	w.idle()
	id := w.list()[0].ID
	if again, err := queue.ParseID(strings.ToLower(id.String())); err != nil || again != id {
		t.Errorf("%v, %v", again, err)
	}

	if err := w.q.Hold(ctx, id); err != nil {
		t.Fatal(err)
	}
	w.clock.add(24 * time.Hour)
	w.idle()
	in, err := w.q.Show(ctx, id)
	if err != nil || !in.Held || in.Attempts != 1 || !in.NextAttempt.IsZero() || in.TraceID != "T1" || in.Destination != "b.test" {
		t.Errorf("%+v, %v", in, err)
	}
	w.reopen() // held is held
	w.idle()
	if s := w.q.Stats(); s.Held != 1 {
		t.Errorf("%+v", s)
	}
	w.check()
	if err := w.q.Release(ctx, id); err != nil {
		t.Fatal(err)
	}
	w.idle()
	if in, _ = w.q.Show(ctx, id); in.Held || in.Attempts != 2 {
		t.Errorf("%+v", in)
	}
	if err := w.q.Retry(ctx, id); err != nil {
		t.Fatal(err)
	}
	w.idle()
	if in, _ = w.q.Show(ctx, id); in.Attempts != 3 || in.Recipients[0].State != "waiting" || in.Recipients[0].Host == "" {
		t.Errorf("%+v", in)
	}
	var b bytes.Buffer
	if err := w.q.WriteContent(ctx, id, &b); err != nil || b.String() != "Received: from x\r\n"+text {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := w.q.Bounce(ctx, id); err != nil {
		t.Fatal(err)
	}
	w.idle()
	w.empty()
	got := w.inj.all() // a delay, and the end
	plain, fields, _ := parts(t, got[len(got)-1])
	contains(t, plain, "returned by the operator")
	contains(t, fields, "Action: failed", "Status: 5.0.0")

	w.add("later@b.test")
	w.idle()
	if err := w.q.Drop(ctx, w.list()[0].ID); err != nil {
		t.Fatal(err)
	}
	w.empty()
	if len(w.inj.all()) != len(got) {
		t.Error("Drop told somebody")
	}
	for _, f := range []func() error{
		func() error { return w.q.Retry(ctx, id) }, func() error { return w.q.Hold(ctx, id) },
		func() error { return w.q.Release(ctx, id) }, func() error { return w.q.Bounce(ctx, id) },
		func() error { return w.q.Drop(ctx, id) },
		func() error { _, err := w.q.Show(ctx, id); return err },
	} {
		if err := f(); mail.KindOf(err) != mail.NotFound {
			t.Errorf("of a message that is not there: %v", err)
		}
	}
}

func TestOperatorAndAttempt(t *testing.T) {
	started, goOn := make(chan struct{}), make(chan struct{})
	srv := smtptest.New(t, smtptest.Options{Hook: func(c smtptest.Command) smtptest.Reaction {
		if c.Verb == "." {
			started <- struct{}{}
			<-goOn
		}
		return smtptest.Reaction{}
	}})
	w := newWorld(t, srv.Addr.Port(), nil)
	w.add("x@b.test")
	<-started
	in := w.list()[0]
	if !in.Active {
		t.Errorf("%+v", in)
	}
	if err := w.q.Bounce(t.Context(), in.ID); mail.KindOf(err) != mail.Conflict {
		t.Errorf("%v", err)
	}
	close(goOn)
	w.idle()
	w.empty()
	if len(w.inj.all()) != 0 {
		t.Error("delivered and bounced")
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t, 1, func(o *queue.Options) { o.Dialer.AddrPolicy = nil })
	for range 250 {
		w.add("x@b.test")
	}
	w.idle()
	list := w.list()
	for i := 1; i < len(list); i++ {
		if list[i].ID <= list[i-1].ID {
			t.Fatal("not in order")
		}
	}
	n := 0
	_ = w.q.List(t.Context(), list[99].ID, func(queue.Info) bool { n++; return n < 120 })
	if len(list) != 250 || n != 120 {
		t.Errorf("%d, %d", len(list), n)
	}
}
