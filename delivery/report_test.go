package delivery

import (
	"context"
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store"
)

// Who asks for a report of success gets one: of what we delivered and of what we
// passed on to several, not of what others will report.
func TestReportOfSuccess(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	send := func(sess *Session, from string, notify mail.NotifyMask, to ...string) {
		t.Helper()
		env := mail.Envelope{TraceID: "trace1", EnvID: "env1"}
		if from != "" {
			env.ReversePath = addr(from)
		}
		tx := h.svc.Begin(sess, env)
		defer tx.Close()
		for _, a := range to {
			if r := tx.Recipient(ctx, mail.Recipient{Address: addr(a), Notify: notify, Original: "rfc822;x@y.test"}); !r.Positive() {
				t.Fatal(r)
			}
		}
		if r := tx.Open(ctx); r.Code != 0 {
			t.Fatal(r)
		}
		_, _ = tx.Write([]byte("From: ada@demo.test\r\nSubject: what was s\xc3\xa9nt\r\n\r\nbody\r\n"))
		if r := tx.Accept(ctx); !r.Positive() || tx.Err() != nil {
			t.Fatal(r, tx.Err())
		}
	}
	ada := &Session{Origin: FromSubmission, Account: &h.ada}
	send(ada, "ada@demo.test", mail.NotifySuccess|mail.NotifyFailure, "ben@demo.test", "split@demo.test", "some@far.test")
	h.wantMail(2, 1, 2) // split leads to ada, too
	got := h.inbox("ada@demo.test")[1]
	for _, want := range []string{
		"Return-Path: <>\r\n", "Content-Type: multipart/report;", "report-type=delivery-status", "Auto-Submitted: auto-replied",
		"Reporting-MTA: dns; mx.demo.test\r\nOriginal-Envelope-Id: env1\r\nArrival-Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n\r\n" +
			"Original-Recipient: rfc822; x@y.test\r\nFinal-Recipient: rfc822; ben@demo.test\r\nAction: delivered\r\nStatus: 2.1.5\r\n\r\n" +
			"Original-Recipient: rfc822; x@y.test\r\nFinal-Recipient: rfc822; split@demo.test\r\nAction: expanded\r\nStatus: 2.1.5\r\n",
		"Subject: what was s\xc3\xa9nt\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "body\r\n") || strings.Contains(got, "some@far.test") {
		t.Errorf("says too much:\n%s", got)
	}
	send(&Session{Origin: FromMX}, "eve@far.test", mail.NotifySuccess, "ben@demo.test")
	h.wantMail(2, 2, 2) // a stranger's reverse-path may be anybody's
	send(&Session{Origin: FromMX}, "eve@far.test", mail.NotifyFailure, "ben@demo.test")
	send(&Session{Origin: FromMX}, "", mail.NotifySuccess, "ben@demo.test")
	send(&Session{Origin: FromLMTP}, "eve@far.test", mail.NotifySuccess, "ben@demo.test")
	h.wantMail(2, 5, 2)
}

func TestExpandedNotify(t *testing.T) {
	h := newHouse(t, nil)
	ask := func(to string, notify mail.NotifyMask) mail.NotifyMask {
		t.Helper()
		tx := h.svc.Begin(&Session{Origin: FromMX}, mail.Envelope{})
		defer tx.Close()
		_ = tx.Recipient(t.Context(), mail.Recipient{Address: addr(to), Notify: notify})
		q := &notifyQueue{}
		tx.s.opts.Queue = q
		if _, err := tx.batches(t.Context(), []int{0}, nil, newServed(), newServed()); err != nil {
			t.Fatal(err)
		}
		tx.s.opts.Queue = h.queue
		return q.last
	}
	if got := ask("away@demo.test", mail.NotifySuccess); got != mail.NotifyNever {
		t.Error(got)
	}
	if got := ask("away@demo.test", mail.NotifySuccess|mail.NotifyDelay); got != mail.NotifyDelay {
		t.Error(got)
	}
	if got := ask("away@demo.test", 0); got != 0 {
		t.Error(got)
	}
}

// A notifyQueue notes the NOTIFY of the last recipient.
type notifyQueue struct {
	testQueue
	last mail.NotifyMask
}

func (q *notifyQueue) AddBatch(_ context.Context, env *mail.Envelope, _ []byte, _ *store.Staged) (*store.Batch, error) {
	q.last = env.Recipients[0].Notify
	return &store.Batch{}, nil
}
