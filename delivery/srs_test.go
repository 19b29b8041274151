package delivery

import (
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/mailauth/srs"
)

// What an alias leads elsewhere goes under an address of ours, whose bounce finds the
// sender, and nothing else goes there.
func TestForwardedSender(t *testing.T) {
	keys := &srs.Rewriter{Keys: [][]byte{[]byte("secret")}}
	h := newHouse(t, func(o *Options) { o.SRS = func() *srs.Rewriter { return keys } })
	queued := func() string {
		r := h.eng.Snapshot(0)
		defer r.Close()
		var last string
		must(t, r.Scan([]byte("q"), []byte("r"), func(_, val []byte) bool {
			last, _, _ = strings.Cut(string(val), "\n")
			return true
		}))
		return last
	}
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"away@demo.test"}, hello).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	from := strings.TrimPrefix(strings.Fields(queued())[0], "from=")
	if !strings.HasPrefix(from, "SRS0=") || !strings.HasSuffix(from, "=far.test=eve@demo.test") {
		t.Fatal(from)
	}
	// The bounce.
	if r := h.send(&Session{Origin: FromMX}, "", []string{from}, hello).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	if got := queued(); !strings.HasPrefix(got, "from= to=eve@far.test") {
		t.Error(got)
	}
	// Mail of ours keeps its sender.
	if r := h.send(&Session{Origin: FromSubmission, Account: &h.ada}, "ada@demo.test", []string{"away@demo.test"}, "From: ada@demo.test\r\n"+hello[strings.Index(hello, "\n")+1:]).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	if got := queued(); !strings.HasPrefix(got, "from=ada@demo.test ") {
		t.Error(got)
	}
	for _, tt := range []struct{ sender, to string }{
		{"eve@far.test", from},                             // no bounce
		{"", "SRS0=aaaaaaaa=aa=far.test=victim@demo.test"}, // forged
		{"", strings.Replace(from, "=eve@", "=victim@", 1)},
	} {
		env := mail.Envelope{TraceID: "t"}
		if tt.sender != "" {
			env.ReversePath = addr(tt.sender)
		}
		tx := h.svc.Begin(&Session{Origin: FromMX}, env)
		if r := tx.Recipient(t.Context(), mail.Recipient{Address: addr(tt.to)}); r.Code != 550 {
			t.Errorf("%s: %v", tt.to, r)
		}
		tx.Close()
	}
}
