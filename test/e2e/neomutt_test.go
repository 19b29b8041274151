package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A neomutt is a person at neomutt: it works on an account over IMAP and sends
// through submission. Keys are typed by "push".
type neomutt struct{ dir, rc string }

func newNeomutt(t testing.TB, r *rig, user string) *neomutt {
	n := &neomutt{dir: t.TempDir()}
	_, imap := r.hostPort(r.imap)
	_, submission := r.hostPort(r.submission)
	editor := writeFile(t, filepath.Join(n.dir, "editor"), "#!/bin/sh\n{ cat \"$1\"; echo 'Yes, gladly.'; } >\"$1.new\" && mv \"$1.new\" \"$1\"\n")
	if err := os.Chmod(editor, 0o700); err != nil {
		t.Fatal(err)
	}
	n.rc = writeFile(t, filepath.Join(n.dir, "muttrc"), `
set imap_user="%[1]s" imap_pass="%[2]s" imap_authenticators="plain:login"
set folder="imap://127.0.0.1:%[3]s/" spoolfile="+INBOX" record="+Sent" postponed="+Drafts"
set smtp_url="smtp://%[5]s@127.0.0.1:%[4]s/" smtp_pass="%[2]s" smtp_authenticators="plain"
set ssl_starttls=no ssl_force_tls=no from="%[1]s" use_from=yes realname="A Person"
set editor="%[6]s" autoedit=yes fast_reply=yes include=yes edit_headers=no abort_unmodified=no
set header_cache="" message_cachedir="" confirmappend=no delete=yes quit=yes move=no mark_old=no
set sleep_time=0 wait_key=no crypt_autosign=no crypt_opportunistic_encrypt=no fcc_delimiter=","
set imap_check_subscribed=no mail_check=0 use_envelope_from=yes hostname="client.test"
`, user, r.password, imap, submission, strings.ReplaceAll(user, "@", "%40"), editor)
	return n
}

// types starts neomutt, types keys and expects it to leave by itself.
func (n *neomutt) types(t testing.TB, keys string) {
	t.Helper()
	script := writeFile(t, filepath.Join(n.dir, "run"), "exec neomutt -n -F '%s' -e 'push \"%s\"'\n", n.rc, keys)
	out := tool(t, n.dir, "timeout", "60", "script", "-qec", "sh "+script, filepath.Join(n.dir, "typescript"))
	t.Logf("neomutt showed %d bytes", len(out))
}
