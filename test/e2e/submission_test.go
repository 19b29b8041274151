package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

// submit logs in as user and hands in one message.
func submit(t *testing.T, r *rig, user, from, to, ledger string) error {
	t.Helper()
	c, err := dialSMTP(r.submission)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.authPlain(user, r.password); err != nil {
		t.Fatal(err)
	}
	return c.send(from, to, []byte("From: "+from+"\r\nTo: "+to+"\r\nSubject: "+ledger+"\r\nX-Ledger: "+ledger+"\r\n\r\nhello\r\n"))
}

// TestHeldMail: an account that sends more than it may. Its mail is accepted and kept, its
// owner and the administrator are told once; who administers the server sees it, lets it
// go, and gives the account more room, which holds at once.
func TestHeldMail(t *testing.T) {
	if now := time.Now(); now.Add(5*time.Minute).UTC().Day() != now.UTC().Day() {
		t.Skip("the day that counts ends in a moment")
	}
	far := startSink(t)
	r := newRig(t, rigOptions{relay: far.addr})
	admin := r.person(t, "root")
	r.run(t, "", "account", "set", admin, "--admin")
	user := r.person(t, "ada")
	r.run(t, "", "account", "set", user, "--send-limit", "1")
	r.start(t)
	for _, ledger := range []string{"one", "two", "three"} {
		if err := submit(t, r, user, user, "bo@far.test", ledger); err != nil {
			t.Fatal(err)
		}
	}
	far.waitFor(t, "one")
	list := r.run(t, "", "queue", "list")
	if n := strings.Count(list, "held"); n != 2 {
		t.Errorf("%d of 2 messages are shown as held:\n%s", n, list)
	}
	for _, who := range []string{user, admin} {
		c := mustIMAP(t, r.imap, who, r.password)
		waitFor(t, c, "INBOX", `SUBJECT "Your mail is held"`, 1)
	}
	if far.has("two") || far.has("three") {
		t.Error("what is held was sent")
	}
	ids := strings.Fields(r.run(t, "", "queue", "list", "--quiet"))
	if len(ids) != 2 {
		t.Fatalf("%q", ids)
	}
	r.run(t, "", "queue", "release", ids[0])
	r.run(t, "", "queue", "release", ids[1])
	far.waitFor(t, "two", "three")
	r.run(t, "", "account", "set", user, "--send-limit", "off")
	if err := submit(t, r, user, user, "bo@far.test", "four"); err != nil {
		t.Fatal(err)
	}
	far.waitFor(t, "four")
}

// has reports whether a message was taken.
func (s *sink) has(ledger string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken[ledger] > 0
}

func (s *sink) waitFor(t *testing.T, ledgers ...string) {
	t.Helper()
	end := time.Now().Add(patience)
	for _, l := range ledgers {
		for ; !s.has(l); time.Sleep(5 * time.Millisecond) { // polling, bounded
			if time.Now().After(end) {
				t.Fatalf("%s did not come", l)
			}
		}
	}
}

// TestMaskedAddress: an address that leads to its account, which answers as it, nobody
// else, until it is ended.
func TestMaskedAddress(t *testing.T) {
	far := startSink(t)
	r := newRig(t, rigOptions{relay: far.addr})
	user, other := r.person(t, "ada"), r.person(t, "ben")
	r.start(t)
	mask := strings.TrimSpace(r.run(t, "", "mask", "add", user, "--note", "the shoe shop", "--quiet"))
	if !strings.HasSuffix(mask, "@"+r.domain) || strings.Contains(mask, "ada") {
		t.Fatalf("%q", mask)
	}
	if list := r.run(t, "", "mask", "list", user); !strings.Contains(list, mask) || !strings.Contains(list, "the shoe shop") {
		t.Error(list)
	}
	deliver := func() error {
		c, err := dialSMTP(r.mx)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.send("shop@far.test", mask, []byte("From: shop@far.test\r\nSubject: shoes\r\n\r\nhello\r\n"))
	}
	if err := deliver(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, mustIMAP(t, r.imap, user, r.password), "INBOX", "SUBJECT shoes", 1)
	if err := submit(t, r, user, mask, "shop@far.test", "answer"); err != nil {
		t.Fatal(err)
	}
	far.waitFor(t, "answer")
	if err := submit(t, r, other, mask, "shop@far.test", "forged"); err == nil {
		t.Error("somebody else sends as a masked address")
	}
	r.run(t, "", "mask", "remove", user, mask)
	if err := deliver(); err == nil || !strings.HasPrefix(err.Error(), "550") {
		t.Errorf("mail to an ended address: %v", err)
	}
	if err := submit(t, r, user, mask, "shop@far.test", "late"); err == nil {
		t.Error("an ended address sends")
	}
}

// TestCertificateSubmits: EXTERNAL over submission, offered and taken only with a
// certificate that belongs to an account.
func TestCertificateSubmits(t *testing.T) {
	l := newLoginRig(t)
	dir := t.TempDir()
	own := newPaper(t, dir, "own", nil)
	l.run(t, "", "account", "add-key", "ben@home.test", "--certificate", own.cert, "--label", "laptop")
	roots := x509.NewCertPool()
	roots.AddCert(l.server.pair.Leaf)
	for _, tt := range []struct {
		papers []tls.Certificate
		as, ok string
	}{{[]tls.Certificate{own.pair}, "=", "235"}, {[]tls.Certificate{own.pair}, "YWRhQGhvbWUudGVzdA==", "535"}, {nil, "=", "5"}} {
		c, err := dialSMTP(l.submission)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.cmd("220", "STARTTLS"); err != nil {
			t.Fatal(err)
		}
		c.Conn = tls.Client(c.Conn, &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: tt.papers})
		c.r = bufio.NewReader(c.Conn)
		offered, err := c.cmd("250", "EHLO client.test")
		if err != nil || strings.Contains(offered, "EXTERNAL") != (tt.papers != nil) {
			t.Errorf("offered %q, %v", offered, err)
		}
		if _, err := c.cmd(tt.ok, "AUTH EXTERNAL %s", tt.as); err != nil {
			t.Errorf("as %s with %d certificates: %v", tt.as, len(tt.papers), err)
		}
	}
}
