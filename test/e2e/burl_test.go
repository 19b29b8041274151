package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestBURL: a message that was stored over IMAP is handed in by a signed URL, with what
// goes in front of it sent in a chunk, and arrives; nobody else can hand it in, and none
// when the key is reset, over a restart.
func TestBURL(t *testing.T) {
	r := newRig(t, rigOptions{})
	ada, ben := r.person(t, "ada"), r.person(t, "ben")
	r.start(t)
	c := mustIMAP(t, r.imap, ada, r.password)
	a, err := c.appendMessage("Drafts", `\Draft`, []byte("From: "+ada+"\r\nTo: "+ben+"\r\nSubject: stored\r\n\r\nby reference\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`APPENDUID (\d+) (\d+)`).FindStringSubmatch(a.ok)
	if m == nil {
		t.Fatal(a.ok)
	}
	user := strings.ReplaceAll(ada, "@", "%40")
	rump := "imap://" + user + "@mail.example/Drafts;UIDVALIDITY=" + m[1] + "/;UID=" + m[2] + ";URLAUTH=submit+" + user
	if a, err = c.cmd("%s", `GENURLAUTH "`+rump+`" INTERNAL`); err != nil {
		t.Fatal(err)
	}
	link, ok := strings.CutPrefix(a.untagged[len(a.untagged)-1], `* GENURLAUTH "`)
	if link = strings.TrimSuffix(link, `"`); !ok || !strings.HasPrefix(link, rump+":INTERNAL:") {
		t.Fatalf("%q", a.untagged)
	}
	burl := func(who, want string) {
		t.Helper()
		s, err := dialSMTP(r.submission)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.authPlain(who, r.password); err != nil {
			t.Fatal(err)
		}
		for _, step := range [][2]string{
			{"250", "MAIL FROM:<" + who + ">"}, {"250", "RCPT TO:<" + ben + ">"},
			{"250", "BDAT 12\r\nX-Chunk: a"}, {want, "BURL " + link + " LAST"},
		} {
			if _, err := s.cmd(step[0], "%s", step[1]); err != nil {
				t.Fatalf("%s: %v", step[1], err)
			}
		}
	}
	burl(ben, "554 5.7.0")
	r.kill(t)
	r.start(t)
	burl(ada, "250")
	b := mustIMAP(t, r.imap, ben, r.password)
	waitFor(t, b, "INBOX", `SUBJECT stored HEADER X-Chunk a BODY "by reference"`, 1)
	c = mustIMAP(t, r.imap, ada, r.password)
	if _, err := c.cmd("RESETKEY Drafts"); err != nil {
		t.Fatal(err)
	}
	burl(ada, "554 5.7.0")
	waitFor(t, b, "INBOX", "ALL", 1)
}
