package delivery

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"posthouse/hook"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

// A fakeHook says what it is told to, and keeps what it was asked about.
type fakeHook struct {
	verdict hook.Verdict
	err     error
	asked   string
	told    []mail.Recipient
	refused []hook.Refusal              // of which it heard
	body    string                      // to put in place of the message's
	refuse  map[mail.Address]mail.Reply // while the envelope comes
	ended   bool
}

func (f *fakeHook) Ask(_ context.Context, m *hook.Message) (hook.Verdict, error) {
	b, _ := io.ReadAll(m.Reader())
	f.asked, f.told = string(b), m.To
	if f.body != "" {
		w, err := m.Replace()
		if err != nil {
			return hook.Verdict{}, err
		}
		_, err = io.WriteString(w, f.body)
		f.verdict.Replaced = true
		return f.verdict, err
	}
	return f.verdict, f.err
}

func (f *fakeHook) Begin(context.Context, *hook.Message) (hook.Talk, error) {
	if f.refuse == nil {
		return nil, nil
	}
	return f, nil
}

func (f *fakeHook) Recipient(_ context.Context, to mail.Recipient) (mail.Reply, error) {
	return f.refuse[to.Address], nil
}

func (f *fakeHook) Refused(_ context.Context, r hook.Refusal) error {
	f.refused = append(f.refused, r)
	return nil
}

func (f *fakeHook) Message(ctx context.Context, m *hook.Message) (hook.Verdict, error) {
	return f.Ask(ctx, m)
}

func (f *fakeHook) Close() { f.ended = true }

// A hook refuses one of several recipients; the others get the message.
func TestHookRefusesOne(t *testing.T) {
	no := mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 9}, Text: "not him"}
	f := &fakeHook{refuse: map[mail.Address]mail.Reply{addr("ben@demo.test"): no}}
	h := newHouse(t, func(o *Options) { o.Hooks = []hook.Asked{{Name: "fake", Hook: f, Received: true}} })
	tx := h.svc.Begin(&Session{Origin: FromMX, Hello: "mx.far.test"}, mail.Envelope{ReversePath: addr("eve@far.test"), TraceID: "tid1"})
	defer tx.Close()
	for to, want := range map[string]mail.Reply{"ada@demo.test": replyOK, "ben@demo.test": no, "nobody@demo.test": replyNoUser} {
		if r := tx.Recipient(t.Context(), mail.Recipient{Address: addr(to)}); r != want {
			t.Errorf("%s: %v", to, r)
		}
	}
	tx.Open(t.Context())
	_, _ = io.WriteString(tx, "Subject: x\r\n\r\nbody\r\n")
	if r := tx.Accept(t.Context()); !r.Positive() || len(h.inbox("ada@demo.test")) != 1 || len(h.inbox("ben@demo.test")) != 0 || len(f.told) != 1 {
		t.Errorf("%v, told of %v", r, f.told)
	}
	if len(f.refused) != 1 || f.refused[0].To.Address != addr("nobody@demo.test") || f.refused[0].Reply != replyNoUser {
		t.Errorf("it heard of %v", f.refused)
	}
	if tx.Close(); !f.ended {
		t.Error("the talk does not end")
	}
}

// What a hook wants changed is changed: fields, body, recipients and sender; the next
// hook and everybody else see only the result.
func TestHookChanges(t *testing.T) {
	const text = "Received: from elsewhere\r\nSubject: one\r\n two\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nbody\r\n"
	change := func(name string, n int, line string) hook.Change {
		return hook.Change{Kind: hook.ChangeField, Name: name, Index: n, Line: []byte(line)}
	}
	insert := func(n int, line string) hook.Change {
		return hook.Change{Kind: hook.InsertField, Index: n, Line: []byte(line)}
	}
	envelope := func(kind hook.ChangeKind, a string) hook.Change { return hook.Change{Kind: kind, Address: addr(a)} }
	for _, tt := range []struct {
		name           string
		hook           fakeHook
		adaGets        string // end of her copy; "" is none
		ben            int
		queued, absent string
	}{
		{"a field", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{change("subject", 1, "Subject: other\r\n")}}}, "Received: from elsewhere\r\nSubject: other\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nbody\r\n", 0, "", "two"},
		{"takes one away", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{change("X-Gone", 2, ""), change("X-Gone", 2, "")}}}, "\r\nX-Gone: 1\r\n\r\nbody\r\n", 0, "", "X-Gone: 2"},
		{"one that is not there", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{change("X-New", 1, "X-New: y\r\n")}}}, "X-Gone: 2\r\nX-New: y\r\n\r\nbody\r\n", 0, "", ""},
		{"one at a place", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{insert(3, "X-New: y\r\n")}}}, "Received: from elsewhere\r\nSubject: one\r\n two\r\nX-New: y\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nbody\r\n", 0, "", ""},
		{"two at places", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{insert(2, "X-New: y\r\n"), insert(3, "X-New: z\r\n")}}}, "Received: from elsewhere\r\nX-New: y\r\nX-New: z\r\nSubject: one\r\n two\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nbody\r\n", 0, "", ""},
		{"one behind all", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{insert(1<<20, "X-New: y\r\n")}}}, "X-Gone: 2\r\nX-New: y\r\n\r\nbody\r\n", 0, "", ""},
		{"one above our own", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{insert(0, "X-New: y\r\n")}}}, "X-New: y\r\n" + text, 0, "", ""},
		{"our own", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{change("Received", 1, "")}}}, text, 0, "", ""},
		{"below our own", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{change("Received", 2, "")}}}, "\r\nSubject: one\r\n two\r\nX-Gone: 1\r\nX-Gone: 2\r\n\r\nbody\r\n", 0, "", "elsewhere"},
		{"the body", fakeHook{body: "another\r\n"}, "X-Gone: 2\r\n\r\nanother\r\n", 0, "", "body"},
		{"another recipient", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{envelope(hook.AddRecipient, "ben@demo.test"), envelope(hook.AddRecipient, "ben@demo.test"), envelope(hook.AddRecipient, "nobody@demo.test")}}}, text, 1, "", ""},
		{"somebody else", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{envelope(hook.RemoveRecipient, "ADA@demo.test"), envelope(hook.AddRecipient, "ben@demo.test")}}}, "", 1, "", ""},
		{"elsewhere", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{envelope(hook.AddRecipient, "x@other.test")}}}, text, 0, "from=eve@far.test to=x@other.test", ""},
		{"the sender", fakeHook{verdict: hook.Verdict{Changes: []hook.Change{envelope(hook.ChangeSender, "mallory@far.test")}}}, text, 0, "", "<eve@far.test>"},
	} {
		next := &fakeHook{}
		h := newHouse(t, func(o *Options) {
			o.Hooks = []hook.Asked{{Name: "fake", Hook: &tt.hook, Received: true}, {Name: "next", Hook: next, Received: true}}
		})
		r := h.send(&Session{Origin: FromMX, Hello: "mx.far.test"}, "eve@far.test", []string{"ada@demo.test"}, text).Accept(t.Context())
		ada, ben := h.inbox("ada@demo.test"), h.inbox("ben@demo.test")
		if !r.Positive() || len(ben) != tt.ben || (len(ada) == 1) != (tt.adaGets != "") {
			t.Errorf("%s: %v, %q, %q", tt.name, r, ada, ben)
			continue
		}
		for _, got := range append(ada, ben...) {
			if !strings.HasSuffix(got, tt.adaGets) || !strings.HasSuffix(next.asked, tt.adaGets) || tt.absent != "" && strings.Contains(got, tt.absent) {
				t.Errorf("%s: %q, next was asked about %q", tt.name, got, next.asked)
			}
		}
		if q := strings.Join(h.queued(), "|"); !strings.Contains(q, tt.queued) || tt.queued == "" && q != "" {
			t.Errorf("%s: queued %q", tt.name, q)
		}
	}
}

// What a hook says with an address (RET, ENVID, NOTIFY, ORCPT) goes with it; what is not
// taken is kept as a finding.
func TestHookParameters(t *testing.T) {
	params := func(s string) wire.Params {
		p, err := wire.ParseParams(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		sender, rcpt string
		want         mail.Recipient
		full         bool
		id, refused  string
	}{
		{"", "", mail.Recipient{Notify: mail.NotifyNever}, false, "", ""},
		{"RET=FULL ENVID=a+2Bb SIZE=9 BODY=8BITMIME", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+40demo.test", mail.Recipient{Notify: mail.NotifySuccess | mail.NotifyFailure, Original: "rfc822;old@demo.test"}, true, "a+b", ""},
		{"RET=HALF", "", mail.Recipient{Notify: mail.NotifyNever}, false, "", "mallory@far.test with RET"},
		{"ENVID=+0A", "", mail.Recipient{Notify: mail.NotifyNever}, false, "", "mallory@far.test with ENVID"},
		{"MT-PRIORITY=9", "", mail.Recipient{Notify: mail.NotifyNever}, false, "", "mallory@far.test with MT-PRIORITY"},
		{"", "NOTIFY=NEVER,DELAY", mail.Recipient{Notify: mail.NotifyNever}, false, "", "x@other.test with NOTIFY"},
		{"", "ORCPT=nonsense", mail.Recipient{Notify: mail.NotifyNever}, false, "", "x@other.test with ORCPT"},
	} {
		f := &fakeHook{verdict: hook.Verdict{Changes: []hook.Change{
			{Kind: hook.ChangeSender, Address: addr("mallory@far.test"), Params: params(tt.sender)},
			{Kind: hook.AddRecipient, Address: addr("x@other.test"), Params: params(tt.rcpt)},
		}}}
		h := newHouse(t, func(o *Options) { o.Hooks = []hook.Asked{{Name: "fake", Hook: f, Received: true}} })
		tx := h.send(&Session{Origin: FromMX, Hello: "mx.far.test"}, "eve@far.test", []string{"ada@demo.test"}, "Subject: x\r\n\r\nbody\r\n")
		if r := tx.Accept(t.Context()); !r.Positive() || len(tx.Env.Recipients) != 2 {
			t.Fatalf("%+v: %v, %+v", tt, r, tx.Env.Recipients)
		}
		tt.want.Address = addr("x@other.test")
		found := ""
		for _, finding := range tx.checked {
			found += finding.Text + "|"
		}
		if tx.Env.Recipients[1] != tt.want || tx.Env.ReturnFull != tt.full || tx.Env.EnvID != tt.id || !strings.Contains(found, tt.refused) || tt.refused == "" && strings.Contains(found, "not taken") {
			t.Errorf("%+v: %+v, found %q", tt, tx.Env, found)
		}
	}
}

// Quarantine of what an account sends elsewhere holds it.
func TestHookQuarantine(t *testing.T) {
	f := &fakeHook{verdict: hook.Verdict{Action: hook.Junk, Hold: true}}
	h := newHouse(t, func(o *Options) { o.Hooks = []hook.Asked{{Name: "fake", Hook: f, Submitted: true}} })
	tx := h.send(&Session{Origin: FromSubmission, Account: &h.ada}, "ada@demo.test", []string{"x@far.test"}, "From: ada@demo.test\r\n\r\nbody\r\n")
	if r := tx.Accept(t.Context()); !r.Positive() || !strings.Contains(r.Text, "held") || tx.Env.HoldUntil != mail.UntilReleased {
		t.Errorf("%v, %v", r, tx.Env.HoldUntil)
	}
}

// What a hook says is done; what it adds stands in front; who does not answer defers, or
// is passed over, as configured.
func TestHooks(t *testing.T) {
	ctx := context.Background()
	reject := mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "malware"}
	for _, tt := range []struct {
		name  string
		hook  fakeHook
		open  bool
		reply string
		inbox int
	}{
		{"passes", fakeHook{verdict: hook.Verdict{Header: []byte("X-Seen: yes\r\n")}}, false, "250", 1},
		{"refuses", fakeHook{verdict: hook.Verdict{Action: hook.Reject, Reply: reject}}, false, "550 5.7.1 malware", 0},
		{"later", fakeHook{verdict: hook.Verdict{Action: hook.Defer, Reply: mail.Reply{Code: 451, Text: "x"}}}, false, "451", 0},
		{"throws away", fakeHook{verdict: hook.Verdict{Action: hook.Discard}}, false, "250", 0},
		{"silent", fakeHook{err: errors.New("gone")}, false, "451 4.7.1", 0},
		{"silent, open", fakeHook{err: errors.New("gone")}, true, "250", 1},
	} {
		h := newHouse(t, func(o *Options) {
			o.Hooks = []hook.Asked{{Name: "fake", Hook: &tt.hook, Open: tt.open, Received: true}}
		})
		r := h.send(&Session{Origin: FromMX, Hello: "mx.far.test"}, "eve@far.test", []string{"ada@demo.test"}, "Subject: x\r\n\r\nbody\r\n").Accept(ctx)
		got := h.inbox("ada@demo.test")
		if !strings.HasPrefix(r.String(), tt.reply) || len(got) != tt.inbox {
			t.Errorf("%s: %v, %q", tt.name, r, got)
		}
		if tt.name == "passes" && (!strings.Contains(got[0], "X-Seen: yes\r\nReceived: ") || !strings.HasPrefix(tt.hook.asked, "Received: ") || !strings.HasSuffix(tt.hook.asked, "body\r\n")) {
			t.Errorf("%q, asked %q", got, tt.hook.asked)
		}
		tt.hook.asked = ""
		if r := h.send(&Session{Origin: FromLMTP}, "eve@far.test", []string{"ben@demo.test"}, "Subject: x\r\n\r\n").Accept(ctx); !r.Positive() || tt.hook.asked != "" {
			t.Errorf("%s: LMTP is asked about: %v", tt.name, r)
		}
	}
}

// What is applied holds for transactions that begin then; those that have begun go on as
// they were.
func TestApply(t *testing.T) {
	old, fresh := &fakeHook{}, &fakeHook{}
	h := newHouse(t, func(o *Options) { o.Hooks = []hook.Asked{{Name: "old", Hook: old, Received: true}} })
	begun := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"ada@demo.test"}, "Subject: x\r\n\r\n")
	h.svc.Apply(Options{Hooks: []hook.Asked{{Name: "new", Hook: fresh, Received: true}}, Limits: Limits{Hops: 1}})
	if r := begun.Accept(t.Context()); !r.Positive() || old.asked == "" || fresh.asked != "" {
		t.Error(r, old.asked, fresh.asked)
	}
	old.asked = ""
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"ada@demo.test"}, "Subject: x\r\n\r\n").Accept(t.Context()); !r.Positive() || old.asked != "" || fresh.asked == "" {
		t.Error(r, old.asked, fresh.asked)
	}
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"ada@demo.test"}, "Received: x\r\nReceived: y\r\n\r\n").Accept(t.Context()); r.Code != 554 {
		t.Error("the new limit does not hold:", r)
	}
}
