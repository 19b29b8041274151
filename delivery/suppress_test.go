package delivery

import (
	"context"
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/report"
)

// suppressed is a Suppression that knows one address, and notes complaints.
type suppressed struct {
	address    string
	complaints []string
}

func (s *suppressed) Suppressed(from mail.Domain, to mail.Address) (mail.Reply, bool) {
	return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "not written to by " + string(from)}, to.String() == s.address
}

func (s *suppressed) Complained(_ context.Context, from mail.Domain, to mail.Address, who string) error {
	s.complaints = append(s.complaints, string(from)+" "+to.String()+" "+who)
	return nil
}

func (s *suppressed) Returned(_ context.Context, from mail.Domain, to mail.Address, said string) error {
	s.complaints = append(s.complaints, "returned "+string(from)+" "+to.String()+" "+said)
	return nil
}

// Only what accounts send to elsewhere is stopped, each recipient by itself.
func TestSuppressedRecipients(t *testing.T) {
	s := &suppressed{address: "one@far.test"}
	h := newHouse(t, func(o *Options) { o.Suppression = s })
	try := func(sess *Session, from, to string) mail.Reply {
		t.Helper()
		env := mail.Envelope{TraceID: "t"}
		if from != "" {
			env.ReversePath = addr(from)
		}
		tx := h.svc.Begin(sess, env)
		defer tx.Close()
		return tx.Recipient(t.Context(), mail.Recipient{Address: addr(to)})
	}
	ada := &Session{Origin: FromSubmission, Account: &h.ada}
	if r := try(ada, "ada@demo.test", "one@far.test"); r.Code != 550 || !strings.Contains(r.Text, "by demo.test") {
		t.Error(r)
	}
	if r := try(ada, "ada@demo.test", "two@far.test"); !r.Positive() {
		t.Error(r)
	}
	if r := try(&Session{Origin: FromMX}, "eve@far.test", "away@demo.test"); !r.Positive() { // an alias that leads there
		t.Error(r)
	}
	if r := try(&Session{Origin: FromServer}, "", "one@far.test"); !r.Positive() {
		t.Error(r)
	}
	s.address = "ben@demo.test"
	if r := try(ada, "ada@demo.test", "ben@demo.test"); !r.Positive() {
		t.Error("mail for here was stopped:", r)
	}
}

// A complaint counts if who reads at the address, and nobody else, made it.
func TestComplaints(t *testing.T) {
	s := &suppressed{}
	c := newChecked(t, nil)
	c.svc.opts.Suppression, c.svc.opts.Reports = s, report.Open(c.eng, nil)
	c.svc.opts.ReportAddresses = []mail.Address{{Local: "postmaster"}}
	text := func(kind, from, to string) string {
		return "From: Far <r@far.test>\r\nSubject: FW\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@far.test>\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: " + kind + "\r\nUser-Agent: Far/1\r\nVersion: 1\r\nOriginal-Mail-From: <" + from + ">\r\nOriginal-Rcpt-To: <" + to + ">\r\n\r\n" +
			"--b--\r\n"
	}
	for _, tt := range []struct {
		signer, kind, from, to string
		counts                 bool
	}{
		{"far.test", "abuse", "ada@demo.test", "eve@far.test", true},
		{"far.test", "abuse", "ada@demo.test", "eve@sub.far.test", true},
		{"", "abuse", "ada@demo.test", "eve@far.test", false},
		{"stranger.test", "abuse", "ada@demo.test", "eve@far.test", false},
		{"far.test", "abuse", "ada@demo.test", "eve@notfar.test", false},
		{"far.test", "abuse", "x@away.test", "eve@far.test", false},
		{"far.test", "not-spam", "ada@demo.test", "eve@far.test", false},
		{"far.test", "abuse", "ada@demo.test", "ben@demo.test", false},
	} {
		s.complaints = nil
		message := text(tt.kind, tt.from, tt.to)
		if tt.signer != "" {
			message = c.sign(tt.signer, message)
		}
		if r := c.send(at(good), "r@far.test", []string{"postmaster@demo.test"}, message).Accept(t.Context()); !r.Positive() {
			t.Fatal(r)
		}
		if counted := len(s.complaints) == 1; counted != tt.counts {
			t.Errorf("%+v: %v", tt, s.complaints)
		}
	}
}
