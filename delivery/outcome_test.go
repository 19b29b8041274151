package delivery

import (
	"context"
	"strings"
	"sync"
	"testing"

	"posthouse/mail"
	"posthouse/trace"
)

// A notebook keeps what is recorded.
type notebook struct {
	mu     sync.Mutex
	events []trace.Event
}

func (n *notebook) Record(e *trace.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, *e)
}

// told is the last event in plain words.
func (n *notebook) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.events) == 0 {
		return ""
	}
	s := trace.Story{Events: n.events[len(n.events)-1:]}
	var text strings.Builder
	for _, x := range s.Tell() {
		text.WriteString(x.Text + "\n")
	}
	return text.String()
}

// Every transaction that named a recipient is remembered, however it ended.
func TestRemembered(t *testing.T) {
	var n notebook
	h := newHouse(t, func(o *Options) { o.Trace = &n })
	ctx := context.Background()
	mx := &Session{Origin: FromMX, Hello: "mx.far.test"}
	text := "From: eve@far.test\r\nMessage-ID: <7@far.test>\r\n\r\nhello\r\n"

	tx := h.send(mx, "eve@far.test", []string{"ada@demo.test", "split@demo.test"}, text)
	if r := tx.Accept(ctx); !r.Positive() {
		t.Fatal(r)
	}
	tx.Close()
	for _, want := range []string{"with Message-ID <7@far.test> came (calls itself mx.far.test) by SMTP and was taken",
		"It was delivered to ada@demo.test, mailbox INBOX.", "It was delivered to split@demo.test, mailbox INBOX.", "split@demo.test leads elsewhere: it goes on to "} {
		if got := n.told(); !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	begin := func(to string) *Transaction {
		tx := h.svc.Begin(mx, mail.Envelope{ReversePath: addr("eve@far.test"), TraceID: "id"})
		if r := tx.Sender(ctx); !r.Positive() {
			t.Fatal(r)
		}
		tx.Recipient(ctx, mail.Recipient{Address: addr(to)})
		return tx
	}
	begin("nobody@demo.test").Close()
	if got := n.told(); !strings.Contains(got, "was refused: 554 5.5.1") || !strings.Contains(got, "For nobody@demo.test it was refused for good: 550 5.1.1 No such mailbox here.") {
		t.Error(got)
	}
	begin("ada@demo.test").Close()
	if got := n.told(); !strings.Contains(got, "went away before its end") {
		t.Error(got)
	}
	tx = begin("ada@demo.test")
	tx.RefusedData(replyLongHeader)
	tx.Close()
	if got := n.told(); !strings.Contains(got, "was refused: 552 5.3.4 The header is too long.") {
		t.Error(got)
	}
	events := len(n.events)
	h.svc.Begin(mx, mail.Envelope{ReversePath: addr("eve@far.test")}).Close() // named nobody
	if len(n.events) != events {
		t.Error(n.told())
	}
	tx = h.send(&Session{Origin: FromLMTP}, "eve@far.test", []string{"ada@demo.test", "ghost@demo.test"}, text)
	tx.AcceptEach(ctx)
	tx.Close()
	if got := n.told(); !strings.Contains(got, "by LMTP and was taken") || !strings.Contains(got, "For ghost@demo.test it was") {
		t.Error(got)
	}
	if err := h.svc.Inject(ctx, mail.Envelope{Recipients: []mail.Recipient{{Address: addr("ada@demo.test")}}, TraceID: "x-dsn"}, []byte("Subject: x\r\n\r\n"), nil); err != nil {
		t.Fatal(err)
	}
	if got := n.told(); !strings.Contains(got, "message of its own") || !strings.Contains(got, "delivered to ada@demo.test") {
		t.Error(got)
	}
}
