package delivery

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"posthouse/mail"
	"posthouse/mailauth/dkim"
)

// What leaves is signed for the domain of its author, with the fields that we add
// and without those that we take; what stays is not.
func TestSubmissionIsSigned(t *testing.T) {
	h := newHouse(t, nil)
	ctx := t.Context()
	ada := &Session{Origin: FromSubmission, Account: &h.ada}
	send := func(s *Session, from string, to ...string) string {
		t.Helper()
		if r := h.send(s, from, to, "Bcc: x@far.test\r\nFrom: Ada <"+from+">\r\nSubject: s\r\n\r\nbody \r\n").Accept(ctx); !r.Positive() {
			t.Fatal(r)
		}
		all := h.queued()
		if len(all) == 0 {
			return ""
		}
		_, text, _ := strings.Cut(all[len(all)-1], "\n")
		return text[:strings.LastIndex(text, "\r\n")+2] // behind it is the blob
	}
	if got := send(ada, "ada@demo.test", "one@far.test"); got == "" || strings.Contains(got, "DKIM-Signature") {
		t.Errorf("a domain without keys: %q", got)
	}
	_, err := h.dir.EnsureSigningKeys(ctx, "demo.test")
	must(t, err)
	h.svc.sign.known = nil // the cache believes that there are none for a while
	prefix := send(ada, "ada@demo.test", "one@far.test", "ben@demo.test")
	full := prefix + "From: Ada <ada@demo.test>\r\nSubject: s\r\n\r\nbody \r\n"
	h.wantSigned(full)
	if !strings.Contains(prefix, "Date: ") || !strings.Contains(prefix, "Message-ID: ") || !strings.HasPrefix(prefix, "DKIM-Signature: v=1; a=rsa-sha256;") {
		t.Errorf("%q", prefix)
	}
	if got := h.inbox("ben@demo.test"); len(got) != 1 || strings.Contains(got[0], "DKIM-Signature") {
		t.Errorf("%q", got)
	}
	before := len(h.queued())
	if r := h.send(&Session{Origin: FromMX}, "eve@far.test", []string{"away@demo.test"}, "From: ada@demo.test\r\n\r\n").Accept(ctx); !r.Positive() {
		t.Fatal(r)
	}
	if got := h.queued(); len(got) != before+1 || strings.Contains(got[before], "DKIM-Signature") {
		t.Errorf("a stranger's mail is signed: %q", got)
	}
}

// wantSigned checks that a message has both signatures of demo.test, and that they fit.
func (h *house) wantSigned(full string) {
	h.t.Helper()
	keys, err := h.svc.sign.of(h.t.Context(), h.dir, "demo.test", time.Unix(1.8e9, 0))
	must(h.t, err)
	txt := map[string][]string{}
	for _, k := range keys {
		rec, err := k.Record()
		must(h.t, err)
		txt[k.Name()] = []string{rec}
	}
	vs, err := msgauth.VerifyWithOptions(strings.NewReader(full), &msgauth.VerifyOptions{LookupTXT: func(n string) ([]string, error) { return txt[n], nil }})
	if err != nil || len(vs) != 2 || vs[0].Err != nil || vs[1].Err != nil || vs[0].Domain != "demo.test" {
		h.t.Errorf("%+v, %v\n%s", vs, err, full)
	}
}

// What stays is not digested for a signature. What its reverse-path does not tell to be
// signed, but its From does, is signed all the same.
func TestDigestedWhenSigned(t *testing.T) {
	h := newHouse(t, nil)
	_, err := h.dir.EnsureSigningKeys(t.Context(), "demo.test")
	must(t, err)
	const text = "From: Ada <ada@demo.test>\r\nSubject: s\r\n\r\nbody \r\n"
	for _, c := range []struct {
		from, to string
		early    bool // it is digested as it comes
	}{{"ada@demo.test", "ben@demo.test", false}, {"ada@demo.test", "one@far.test", true}, {"", "one@far.test", false}} {
		before := len(h.queued())
		tx := h.send(&Session{Origin: FromSubmission, Account: &h.ada}, c.from, []string{c.to}, "Bcc: x@far.test\r\n"+text)
		if early := tx.toSign != nil; early != c.early {
			t.Errorf("%q to %s: digested as it came: %v", c.from, c.to, early)
		}
		if r := tx.Accept(t.Context()); !r.Positive() {
			t.Fatal(r)
		}
		if all := h.queued(); len(all) > before {
			_, got, _ := strings.Cut(all[len(all)-1], "\n")
			h.wantSigned(got[:strings.LastIndex(got, "\r\n")+2] + text)
		} else if tx.toSign != nil {
			t.Errorf("%q to %s: digested for nothing", c.from, c.to)
		}
	}
}

// What goes unsigned because its domain has no key says so once, in its trace and in the
// log; what is signed, and what stays here, does not.
func TestUnsignedIsTold(t *testing.T) {
	ctx := t.Context()
	var log strings.Builder
	h := newHouse(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	send := func(to ...string) (notes int) {
		t.Helper()
		log.Reset()
		tx := h.send(&Session{Origin: FromSubmission, Account: &h.ada}, "ada@demo.test", to, "From: ada@demo.test\r\n\r\n")
		if r := tx.Accept(ctx); !r.Positive() {
			t.Fatal(r)
		}
		for _, f := range tx.checked {
			if f.Check == "dkim-sign" && strings.Contains(f.Text, "demo.test has no signing key") {
				notes++
			}
		}
		if n := strings.Count(log.String(), "message goes unsigned"); n != notes {
			t.Errorf("%d in the log, %d notes: %s", n, notes, log.String())
		}
		return notes
	}
	if n := send("one@far.test", "away@demo.test"); n != 1 { // by itself, and through an alias
		t.Errorf("%d notes", n)
	}
	if n := send("ben@demo.test"); n != 0 {
		t.Errorf("%d notes on mail that stays here", n)
	}
	_, err := h.dir.EnsureSigningKeys(ctx, "demo.test")
	must(t, err)
	h.svc.sign.known = nil
	if n := send("one@far.test"); n != 0 {
		t.Errorf("%d notes on what is signed", n)
	}
}

// Keys that cannot be used cost a message its signature, not its way.
func TestBrokenKeys(t *testing.T) {
	h := newHouse(t, nil)
	h.svc.sign.known = map[mail.Domain]signer{"demo.test": {keys: []dkim.SigningKey{{Domain: "demo.test", Selector: "x"}}, when: h.svc.opts.Now()}}
	if r := h.send(&Session{Origin: FromSubmission, Account: &h.ada}, "ada@demo.test", []string{"one@far.test"}, "From: ada@demo.test\r\n\r\n").Accept(t.Context()); !r.Positive() {
		t.Fatal(r)
	}
	h.wantMail(0, 0, 1)
}
