package delivery

import (
	"strings"
	"testing"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/mailauth/srs"
)

// newList is a house whose alias news is a list with ada, ben, one and two.
func newList(t *testing.T, s *suppressed) *house {
	keys := &srs.Rewriter{Keys: [][]byte{[]byte("secret")}}
	h := newHouse(t, func(o *Options) {
		o.SRS = func() *srs.Rewriter { return keys }
		o.Suppression = s
	})
	_, err := h.dir.SetAlias(t.Context(), directory.Alias{Address: addr("News@demo.test"), Targets: []mail.Address{addr("both@demo.test"), addr("one@far.test"), addr("two@far.test"), addr("old@far.test")}})
	must(t, err)
	_, err = h.dir.SetList(t.Context(), addr("news@demo.test"), &directory.List{Unsubscribe: "https://demo.test/leave", OneClick: true})
	must(t, err)
	return h
}

// bounceText is a delivery report of another server.
func bounceText(action, status string) string {
	return "From: MAILER-DAEMON@far.test\r\nSubject: no\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nno\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx.far.test\r\n\r\nFinal-Recipient: rfc822; x@far.test\r\nAction: " + action + "\r\nStatus: " + status + "\r\nDiagnostic-Code: smtp; 550 no such user\r\n--b--\r\n"
}

// Each member elsewhere gets mail of a list from an address of its own, with the list's
// fields; what comes back there is about that member and goes to nobody.
func TestList(t *testing.T) {
	s := &suppressed{address: "old@far.test"}
	h := newList(t, s)
	const text = "From: eve@far.test\r\nSubject: x\r\n\r\nbody\r\n"
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"news@demo.test"}, text).Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	const fields = "Precedence: list\r\nList-Id: <news.demo.test>\r\nList-Post: <mailto:news@demo.test>\r\nList-Unsubscribe: <https://demo.test/leave>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
	ada := h.inbox("ada@demo.test")
	if len(ada) != 1 || !strings.HasPrefix(ada[0], "Return-Path: <news@demo.test>\r\nDelivered-To: news@demo.test\r\n"+fields+"Received: ") {
		t.Errorf("%q", ada)
	}
	q := h.queued()
	if len(q) != 2 {
		t.Fatalf("%q", q)
	}
	var back []mail.Address
	for i, member := range []string{"one", "two"} {
		env, lines, _ := strings.Cut(q[i], "\n")
		from, rest, _ := strings.Cut(strings.TrimPrefix(env, "from="), " ")
		if !strings.HasPrefix(from, "bounce=") || !strings.HasSuffix(from, "=news=far.test="+member+"@demo.test") || rest != "to="+member+"@far.test orcpt=" || !strings.Contains(lines, fields) {
			t.Errorf("%q", q[i])
		}
		back = append(back, addr(from))
	}
	for _, tt := range []struct {
		text    string
		counted bool
	}{{bounceText("failed", "5.1.1"), true}, {bounceText("delayed", "4.4.1"), false}, {bounceText("failed", "5.2.2"), false}, {bounceText("failed", "5.7.1"), false}, {hello, false}} {
		s.complaints = nil
		if r := h.send(&Session{Origin: FromMX}, "", []string{back[1].String()}, tt.text).Accept(t.Context()); !r.Positive() {
			t.Fatal(r)
		}
		if got := strings.Join(s.complaints, "|"); (got == "returned demo.test two@far.test failed 5.1.1 smtp; 550 no such user") != tt.counted {
			t.Errorf("%q: %q", tt.text, got)
		}
	}
	if len(h.queued()) != 2 || len(h.inbox("ada@demo.test")) != 1 {
		t.Error("a bounce went somewhere")
	}
	must(t, func() error { _, err := h.dir.SetList(t.Context(), addr("news@demo.test"), nil); return err }())
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"news@demo.test"}, text).Accept(t.Context()); !r.Positive() || len(h.queued()) != 3 {
		t.Error("a plain alias is one entry:", r, len(h.queued()))
	}
}

// What would go in circles is kept off a list: bounces, its own mail, automatic answers;
// and only bounces come to its bounce addresses.
func TestListSafety(t *testing.T) {
	h := newList(t, &suppressed{})
	to := func(from, rcpt string) mail.Reply {
		env := mail.Envelope{TraceID: "t"}
		if from != "" {
			env.ReversePath = addr(from)
		}
		tx := h.svc.Begin(&Session{Origin: FromMX}, env)
		defer tx.Close()
		return tx.Recipient(t.Context(), mail.Recipient{Address: addr(rcpt)})
	}
	good := h.svc.opts.SRS().Bounce(addr("news@demo.test"), addr("one@far.test"), h.svc.opts.Now()).String()
	for _, tt := range []struct {
		from, to string
		code     int
	}{{"", "news@demo.test", 550}, {"eve@far.test", "news@demo.test", 250}, {"", good, 250}, {"eve@far.test", good, 550}, {"", "x" + good, 550}, {"", "bounce=aaaaaaaa" + good[15:], 550}} {
		if r := to(tt.from, tt.to); r.Code != tt.code {
			t.Errorf("%+v: %v", tt, r)
		}
	}
	for _, tt := range []struct {
		text string
		code int
	}{{"List-Id: News <NEWS.demo.test>\r\n\r\n", 554}, {"List-Id: <other.far.test>\r\nX: y\r\n\r\n", 250}, {"Auto-Submitted: auto-replied; x=y\r\n\r\n", 250}} {
		before := len(h.queued())
		if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"news@demo.test"}, tt.text).Accept(t.Context()); r.Code != tt.code {
			t.Errorf("%q: %v", tt.text, r)
		}
		want := 0
		if strings.Contains(tt.text, "other") {
			want = 3
		}
		q := h.queued()
		if len(q)-before != want || want > 0 && strings.Contains(q[len(q)-1], "List-Id: <news.") {
			t.Errorf("%q: %q", tt.text, q[before:])
		}
	}
	for _, bad := range []*directory.List{{Unsubscribe: "http://demo.test/"}, {Unsubscribe: "https://demo.test/\r\nX: y"}, {Unsubscribe: "mailto:x@demo.test", OneClick: true}} {
		if _, err := h.dir.SetList(t.Context(), addr("news@demo.test"), bad); mail.KindOf(err) != mail.Invalid || err == nil {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
