package jmap

import (
	"context"
	"sync"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
)

// An outbox is a queue that keeps envelopes.
type outbox struct {
	mu   sync.Mutex
	envs []mail.Envelope
	fail error
}

func (o *outbox) AddBatch(_ context.Context, env *mail.Envelope, _ []byte, _ *store.Staged) (*store.Batch, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return nil, o.fail
	}
	o.envs = append(o.envs, *env)
	return &store.Batch{Expect: engine.AnyVersion}, nil
}

func (o *outbox) Wake(...*store.Batch) {}

func (o *outbox) sent() []mail.Envelope {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.envs
}

// outgoingRig is a rig whose mail for others goes into an outbox.
func outgoingRig(t *testing.T) (*rig, *outbox) {
	t.Helper()
	r, out := newRig(t, Options{}), &outbox{}
	r.srv.opts.Delivery = r.delivery(out)
	return r, out
}

// status returns what a submission says of a recipient: delivered, smtpReply.
func (r *rig) status(sub, to string) string {
	r.t.Helper()
	got := r.call("EmailSubmission/get", `{"accountId":"A7","ids":["`+sub+`"],"properties":["deliveryStatus"]}`)
	return at(r.t, got, "/list/0/deliveryStatus/"+to+"/delivered").(string) + " " + at(r.t, got, "/list/0/deliveryStatus/"+to+"/smtpReply").(string)
}

// What the queue tells stands in the submission, and its state changes with it.
func TestDeliveryStatus(t *testing.T) {
	r, out := outgoingRig(t)
	id := r.draft("grace@okafor.example")
	got := r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+id+`","envelope":{"mailFrom":{"email":"ada@demo.test"},
		"rcptTo":[{"email":"grace@okafor.example"},{"email":"x@okafor.example"},{"email":"ben@demo.test"}]}}}}`)
	sub := at(t, got, "/created/s/id").(string)
	if s := r.status(sub, "grace@okafor.example"); s != "queued 250 2.0.0 Ok" {
		t.Error(s)
	}
	if s := r.status(sub, "ben@demo.test"); s != "yes 250 2.0.0 Ok" {
		t.Error(s)
	}
	state := r.call("EmailSubmission/get", `{"accountId":"A7","ids":[]}`)["state"].(string)
	envs := out.sent()
	if len(envs) != 1 || envs[0].TraceID == "" || envs[0].Account != ada.ID {
		t.Fatalf("%+v", envs)
	}
	grace, x := mail.Address{Local: "grace", Domain: "okafor.example"}, mail.Address{Local: "x", Domain: "okafor.example"}
	busy := mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 0}, Text: "later"}
	r.srv.Told(ada.ID, envs[0].TraceID, []Sent{{Address: grace, State: "waiting", Reply: busy}, {Address: x, State: "failed", Reply: mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}, Text: "no"}}})
	until(t, "the first attempt", func() bool { return r.status(sub, "grace@okafor.example") == "queued 451 4.3.0 later" })
	if s := r.status(sub, "x@okafor.example"); s != "no 550 5.1.1 no" {
		t.Error(s)
	}
	if ch := r.call("EmailSubmission/changes", `{"accountId":"A7","sinceState":"`+state+`"}`); text(ch["updated"]) != `["`+sub+`"]` {
		t.Error(text(ch))
	}
	r.srv.Told(ada.ID, envs[0].TraceID, []Sent{{Address: grace, State: "delivered", Reply: mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: "taken"}}})
	until(t, "the end", func() bool { return r.status(sub, "grace@okafor.example") == "unknown 250 2.0.0 taken" })
	until(t, "forgetting", func() bool {
		r.srv.statuses.mu.Lock()
		defer r.srv.statuses.mu.Unlock()
		return len(r.srv.statuses.waiting) == 0
	})
}

// After a restart the queue is asked; what it does not have is over.
func TestDeliveryStatusRestart(t *testing.T) {
	r, out := outgoingRig(t)
	var subs []string
	for range 2 {
		id := r.draft("grace@okafor.example")
		got := r.call("EmailSubmission/set", `{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"`+id+`","envelope":{"mailFrom":{"email":"ada@demo.test"},"rcptTo":[{"email":"grace@okafor.example"}]}}}}`)
		subs = append(subs, at(t, got, "/created/s/id").(string))
	}
	envs := out.sent()
	if err := r.srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := r.srv.opts
	o.Queued = func(_ context.Context, f func(mail.AccountID, string, []Sent) bool) error {
		f(ada.ID, envs[0].TraceID, []Sent{{Address: mail.Address{Local: "grace", Domain: "okafor.example"}, State: "waiting", Reply: mail.Reply{Code: 450, Text: "x"}}})
		return nil
	}
	r.srv = New(o)
	until(t, "the queue's word", func() bool { return r.status(subs[0], "grace@okafor.example") == "queued 450 x" })
	until(t, "the other", func() bool { return r.status(subs[1], "grace@okafor.example") == "unknown 250 2.0.0 Ok" })
}

// A message that is destroyed while it waits goes all the same.
func TestSentWithoutItsMessage(t *testing.T) {
	r, _ := outgoingRig(t)
	id := r.draft("ben@demo.test")
	out := r.calls(`["EmailSubmission/set",` + hold(id, "3600", "")[:len(hold(id, "3600", ""))-1] + `,"onSuccessDestroyEmail":["#s"]},"c"]`)
	if at(t, out, "/1/1/destroyed/0") != id {
		t.Fatal(text(out))
	}
	r.pass(2 * time.Hour)
	until(t, "the message", func() bool { return r.inboxOf(8) == 1 })
	if n := r.countObjects(store.ObjectOutgoing); n != 0 {
		t.Errorf("%d messages are kept", n)
	}
}

// What the queue does not take now is kept, and tried again.
func TestSubmitLater(t *testing.T) {
	r, box := outgoingRig(t)
	id := r.draft("grace@okafor.example")
	box.fail = &mail.Error{Kind: mail.Unavailable, Op: "queue", Text: "full"}
	out := r.calls(`["EmailSubmission/set",{"accountId":"A7","create":{"s":{"identityId":"default","emailId":"` + id + `"}},"onSuccessDestroyEmail":["#s"]},"c"]`)
	if at(t, out, "/1/1/destroyed/0") != id {
		t.Fatal(text(out))
	}
	box.mu.Lock()
	box.fail = nil
	box.mu.Unlock()
	r.pass(2 * time.Minute)
	until(t, "the queue", func() bool { return len(box.sent()) == 1 })
}

func (r *rig) countObjects(kind store.ObjectKind) (n int) {
	r.t.Helper()
	a, err := r.store.Account(r.t.Context(), ada.ID)
	if err == nil {
		err = a.View(r.t.Context(), func(v *store.View) error { n, err = countOf(v, kind); return err })
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}
