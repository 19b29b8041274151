package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// fillInbox appends messages to an account's inbox and returns them.
func fillInbox(t testing.TB, r *rig, user string, n int) [][]byte {
	t.Helper()
	c, err := dialIMAP(r.imap, user, r.password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out [][]byte
	for i := range n {
		msg := fmt.Appendf(nil, "From: far@far.test\r\nTo: %s\r\nSubject: number %d\r\nMessage-ID: <%d@far.test>\r\nDate: Mon, 4 May 2026 10:30:0%d +0000\r\n\r\nThis is text %d.\r\n.with a dot\r\nFrom the start\r\n",
			user, i, i, i%10, i)
		if _, err := c.appendMessage("INBOX", "", msg); err != nil {
			t.Fatal(err)
		}
		out = append(out, msg)
	}
	return out
}

// left counts what an inbox holds.
func left(t testing.TB, r *rig, user string) uint64 {
	t.Helper()
	c, err := dialIMAP(r.imap, user, r.password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := c.cmd("STATUS INBOX (MESSAGES)")
	if err != nil {
		t.Fatal(err)
	}
	n, ok := a.number("MESSAGES")
	if !ok {
		t.Fatal(a.untagged)
	}
	return n
}

// TestFetchmail: fetchmail takes all mail over TLS, whole, and leaves nothing; what it
// was told to keep it brings once.
func TestFetchmail(t *testing.T) {
	l := newLoginRig(t)
	sent := fillInbox(t, l.rig, "ada@home.test", 5)
	dir := t.TempDir()
	port := portOf(l.imap)
	box := filepath.Join(dir, "box")
	script := deliverer(t, dir, box)
	rc := writeFile(t, filepath.Join(dir, "fetchmailrc"), "poll localhost protocol IMAP port %s no dns user 'ada@home.test' password '%s' sslproto 'auto' sslcertck sslcertfile '%s' mda '%s' fetchall no keep\n",
		port, l.password, l.server.cert, script)
	tool(t, dir, "timeout", "60", "fetchmail", "--nosyslog", "--pidfile", filepath.Join(dir, "pid"), "-f", rc)
	checkBrought(t, box, sent)
	if n := left(t, l.rig, "ada@home.test"); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// checkBrought compares a file of messages, each ended by 0x1e, with what was sent.
func checkBrought(t *testing.T, box string, sent [][]byte) {
	t.Helper()
	b, err := os.ReadFile(box)
	if err != nil {
		t.Fatal(err)
	}
	got := bytes.Split(bytes.TrimSuffix(b, []byte{0x1e}), []byte{0x1e})
	if len(got) != len(sent) {
		t.Fatalf("%d messages of %d were brought", len(got), len(sent))
	}
	for i := range sent {
		_, body, _ := bytes.Cut(unix(sent[i]), []byte("\n\n"))
		if !bytes.HasSuffix(bytes.TrimRight(got[i], "\n"), bytes.TrimRight(body, "\n")) {
			t.Errorf("message %d came as %q", i, got[i])
		}
	}
}

// TestGetmail: getmail brings all mail over TLS, each message once, in two
// runs.
func TestGetmail(t *testing.T) {
	l := newLoginRig(t)
	sent := fillInbox(t, l.rig, "ada@home.test", 5)
	dir := t.TempDir()
	box := filepath.Join(dir, "box")
	script := deliverer(t, dir, box)
	writeFile(t, filepath.Join(dir, "getmailrc"), "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\nport = %s\nusername = ada@home.test\npassword = %s\nca_certs = %s\nmailboxes = (\"INBOX\",)\n[destination]\ntype = MDA_external\npath = %s\nallow_root_commands = true\n[options]\nread_all = false\ndelivered_to = false\nreceived = false\nverbose = 0\n",
		portOf(l.imaps), l.password, l.server.cert, script)
	for range 2 {
		tool(t, dir, "timeout", "60", "getmail", "--getmaildir="+dir, "--rcfile=getmailrc")
	}
	checkBrought(t, box, sent)
}

// deliverer is a program that adds a message to a file.
func deliverer(t *testing.T, dir, box string) string {
	t.Helper()
	script := writeFile(t, filepath.Join(dir, "deliver"), "#!/bin/sh\ncat >>%s\nprintf '\\036' >>%s\n", box, box)
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// TestCurl lists, fetches, appends and searches with curl, over STARTTLS.
func TestCurl(t *testing.T) {
	l := newLoginRig(t)
	sent := fillInbox(t, l.rig, "ada@home.test", 3)
	dir := t.TempDir()
	_, port := l.hostPort(l.imap)
	curl := func(path string, args ...string) string {
		return tool(t, dir, "curl", append([]string{"-sS", "--max-time", "30", "--ssl-reqd", "--cacert", l.server.cert, "-u", "ada@home.test:" + l.password,
			"--resolve", "localhost:" + port + ":127.0.0.1", "imap://localhost:" + port + path}, args...)...)
	}
	if got := curl("/"); !strings.Contains(got, `"/" INBOX`) || !strings.Contains(got, `\Trash`) {
		t.Errorf("list: %s", got)
	}
	if got := curl("/INBOX;UID=2"); got != string(sent[1]) {
		t.Errorf("fetch: %q", got)
	}
	if got := curl("/INBOX;MAILINDEX=3;SECTION=TEXT"); !strings.HasPrefix(got, "This is text 2.") {
		t.Errorf("fetch of a section: %q", got)
	}
	file := writeFile(t, filepath.Join(dir, "new"), "From: ada@home.test\r\nSubject: by curl\r\n\r\nhello\r\n")
	curl("/INBOX", "-T", file)
	if got := strings.TrimSpace(curl("/INBOX?SUBJECT%20curl")); got != "* SEARCH 4" {
		t.Errorf("search: %q", got)
	}
	if got := curl("/INBOX", "-X", "STATUS INBOX (MESSAGES)"); !strings.Contains(got, "MESSAGES 4") {
		t.Errorf("status: %q", got)
	}
	tool(t, dir, "curl", "-sS", "--max-time", "30", "--ssl-reqd", "--cacert", l.server.cert, "-u", "ada@home.test:"+l.password, "--mail-from", "ada@home.test", "--mail-rcpt", "ben@home.test",
		"-T", file, "--login-options", "AUTH=PLAIN", "--resolve", "localhost:"+portOf(l.submission)+":127.0.0.1", "smtp://localhost:"+portOf(l.submission))
	if n := left(t, l.rig, "ben@home.test"); n != 1 {
		t.Errorf("ben has %d messages", n)
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// TestGoIMAPClient: the client of go-imap does a day's work on the whole server, over TLS.
func TestGoIMAPClient(t *testing.T) {
	l := newLoginRig(t)
	sent := fillInbox(t, l.rig, "ada@home.test", 4)
	roots := x509.NewCertPool()
	roots.AddCert(l.server.pair.Leaf)
	c, err := imapclient.DialTLS("localhost:"+portOf(l.imaps), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ada@home.test", l.password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	section := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil || len(msgs) != len(sent) {
		t.Fatal(len(msgs), err)
	}
	for i, m := range msgs {
		if !bytes.Equal(m.FindBodySection(section), sent[i]) || m.Envelope.Subject != fmt.Sprintf("number %d", i) {
			t.Errorf("message %d: %+v", i, m.Envelope)
		}
	}
	if _, err := c.Move(imap.UIDSetNum(2), "Archive").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Collect(); err != nil {
		t.Fatal(err)
	}
	if gone, err := c.Expunge().Collect(); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Text: []string{"text 3"}}, nil).Wait()
	if err != nil || found.All.String() != "4" {
		t.Fatal(found, err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	if n := left(t, l.rig, "ada@home.test"); n != 2 {
		t.Errorf("%d messages are left", n)
	}
}
