package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tool runs a program and returns what it printed; a program that is not there
// is a failure: test/install.sh brings all of them.
func tool(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8", "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func writeFile(t testing.TB, path, format string, args ...any) string {
	t.Helper()
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An mbsync is a Maildir that mbsync keeps equal to an account.
type mbsync struct{ dir, rc string }

func newMbsync(t testing.TB, r *rig, user string) *mbsync {
	m := &mbsync{dir: t.TempDir()}
	host, port := r.hostPort(r.imap)
	m.rc = writeFile(t, filepath.Join(m.dir, "mbsyncrc"), `
IMAPAccount p
Host %s
Port %s
User %s
Pass %s
SSLType None
AuthMechs LOGIN

IMAPStore far
Account p

MaildirStore near
Path %[5]s/mail/
Inbox %[5]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
SyncState *
`, host, port, user, r.password, m.dir)
	if err := os.Mkdir(filepath.Join(m.dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mbsync) sync(t testing.TB) { t.Helper(); tool(t, m.dir, "mbsync", "-c", m.rc, "-a") }

// An offlineIMAP is a Maildir that offlineimap keeps equal to an account.
type offlineIMAP struct{ dir, rc string }

func newOfflineIMAP(t testing.TB, r *rig, user string) *offlineIMAP {
	o := &offlineIMAP{dir: t.TempDir()}
	host, port := r.hostPort(r.imap)
	o.rc = writeFile(t, filepath.Join(o.dir, "offlineimaprc"), `
[general]
accounts = p
metadata = %[5]s/meta
ui = quiet
[Account p]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = %[5]s/mail
[Repository far]
type = IMAP
remotehost = %[1]s
remoteport = %[2]s
remoteuser = %[3]s
remotepass = %[4]s
ssl = no
starttls = no
auth_mechanisms = LOGIN
`, host, port, user, r.password, o.dir)
	return o
}

func (o *offlineIMAP) sync(t testing.TB) {
	t.Helper()
	tool(t, o.dir, "offlineimap", "-o", "-c", o.rc)
}

// A maildirMessage is what a Maildir says of one message.
type maildirMessage struct {
	path  string
	flags string // the letters of the info part, sorted as written
	body  []byte
}

// tuidRE is the line that mbsync itself adds to the header of what it stores.
var tuidRE = regexp.MustCompile(`(?m)^X-TUID: [^\n]{12}\n`)

// readMaildir returns the messages of one mailbox of a synchronised tree. Lines
// end as the tool wrote them: in LF.
func readMaildir(t testing.TB, dir string) []maildirMessage {
	t.Helper()
	var out []maildirMessage
	for _, sub := range []string{"cur", "new"} {
		files, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := filepath.Join(dir, sub, f.Name())
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, flags, _ := strings.Cut(f.Name(), ":2,")
			out = append(out, maildirMessage{path, flags, tuidRE.ReplaceAll(body, nil)})
		}
	}
	return out
}

// unix is a message as a Maildir holds it.
func unix(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }

// isTrace reports whether b is nothing but the lines that delivery puts before a
// message (RFC 5321 §4.4).
func isTrace(b []byte) bool {
	for line := range bytes.Lines(b) {
		switch name, _, _ := bytes.Cut(line, []byte(":")); string(name) {
		case "Return-Path", "Delivered-To", "Received", "Authentication-Results":
		default:
			if line[0] != ' ' && line[0] != '\t' {
				return false
			}
		}
	}
	return true
}

// holds reports whether stored is original with a trace before it.
func holds(stored, original []byte) bool {
	return bytes.HasSuffix(stored, original) && isTrace(stored[:len(stored)-len(original)])
}

// change flags every n-th message of the inbox of a synchronised tree, as a
// person at a Maildir client would.
func change(t testing.TB, dir string, n int) {
	t.Helper()
	for i, m := range readMaildir(t, filepath.Join(dir, "INBOX")) {
		if i%n != 0 {
			continue
		}
		base, _, _ := strings.Cut(filepath.Base(m.path), ":2,")
		flags := []byte(m.flags + "F")
		slices.Sort(flags)
		to := filepath.Join(dir, "INBOX", "cur", base+":2,"+string(slices.Compact(flags)))
		if err := os.Rename(m.path, to); err != nil {
			t.Fatal(err)
		}
	}
}

// treeOf returns what an inbox holds, one line a message, in order.
func treeOf(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	for _, m := range readMaildir(t, filepath.Join(dir, "INBOX")) {
		_, id, _ := bytes.Cut(m.body, []byte("Message-ID: "))
		id, _, _ = bytes.Cut(id, []byte("\n"))
		out = append(out, fmt.Sprintf("%s %s", id, m.flags))
	}
	slices.Sort(out)
	return out
}
