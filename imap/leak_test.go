package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withMailbox are all commands, with the arguments that name a mailbox; "" names none.
// A new command must be added, so that somebody thinks of who may use it.
var withMailbox = map[string]string{
	"SELECT": "%s", "EXAMINE": "%s", "CREATE": "%s/x", "DELETE": "%s", "RENAME": "%s y", "STATUS": "%s (MESSAGES)",
	"APPEND": "%s {1+}\r\nx", "COPY": "1 %s", "UID COPY": "1 %s", "MOVE": "1 %s", "UID MOVE": "1 %s",
	"REPLACE": "1 %s {1+}\r\nx", "UID REPLACE": "1 %s {1+}\r\nx", "LIST": `"" %s`, "LSUB": `"" %s`, "SUBSCRIBE": "%s", "UNSUBSCRIBE": "%s",
	"GETMETADATA": "%s /private/comment", "SETMETADATA": "%s (/private/comment \"x\")", "GETQUOTAROOT": "%s",
	"GETACL": "%s", "SETACL": "%s ben lr", "DELETEACL": "%s ben", "LISTRIGHTS": "%s ben", "MYRIGHTS": "%s",
	"ESEARCH": "IN (mailboxes %s) ALL", "NOTIFY": "SET STATUS (mailboxes %s (MessageNew MessageExpunge))",
	"CAPABILITY": "", "NOOP": "", "LOGOUT": "", "LOGIN": "", "AUTHENTICATE": "", "STARTTLS": "", "ENABLE": "", "ID": "", "IDLE": "",
	"NAMESPACE": "", "UNSELECT": "", "CLOSE": "", "CHECK": "", "EXPUNGE": "", "UID EXPUNGE": "", "SEARCH": "", "UID SEARCH": "",
	"FETCH": "", "UID FETCH": "", "STORE": "", "UID STORE": "", "SORT": "", "UID SORT": "", "THREAD": "", "UID THREAD": "",
	"GETQUOTA": "", "SETQUOTA": "", "UNAUTHENTICATE": "", "COMPRESS": "", "LANGUAGE": "", "COMPARATOR": "", "CANCELUPDATE": "",
	"UIDBATCHES": "", "GETJMAPACCESS": "",
	"RESETKEY": "%s", "GENURLAUTH": "", "URLFETCH": "", // URLs name mailboxes of their own user: urlauth_two.txt
}

// TestNoLeak: whoever has no right on a mailbox of somebody else is answered by every
// command as if it did not exist, byte for byte (RFC 4314 §6).
func TestNoLeak(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, JMAP: "x", TLSConfig: selfSigned(t)})
	ada, ben := h.client("ada"), h.client("ben")
	ada.send("a SETACL Archive ben lr\r\n")
	ada.until("a OK")
	for i := range 2 {
		if err := h.deliver(2, "INBOX", sample(i)); err != nil {
			t.Fatal(err)
		}
	}
	for name := range h.srv.tables.commands {
		args, known := withMailbox[name]
		switch {
		case !known:
			t.Errorf("%s: does it name a mailbox?", name)
			continue
		case args == "":
			continue
		}
		var answers []string
		for _, box := range []string{`"Other Users/ada@demo.test/Sent"`, `"Other Users/ada@demo.test/None"`} {
			ben.send("s SELECT INBOX\r\n")
			ben.until("s OK")
			arg := args
			if strings.Contains(args, "%s/x") {
				arg, box = "%s", strings.TrimSuffix(box, `"`)+`/x"`
			}
			ben.send(fmt.Sprintf("t %s "+arg+"\r\n", name, box))
			said := strings.Join(ben.until("t "), "\n")
			answers = append(answers, strings.NewReplacer("/Sent", "/?", "/None", "/?").Replace(said))
		}
		if answers[0] != answers[1] {
			t.Errorf("%s tells a mailbox that is there from one that is not:\n%s\n%s", name, answers[0], answers[1])
		}
		if slices.Contains([]string{"SELECT", "STATUS", "GETACL", "MYRIGHTS"}, name) && !strings.Contains(answers[0], "t NO") {
			t.Errorf("%s: %s", name, answers[0])
		}
	}
}
