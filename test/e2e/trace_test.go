package e2e

import (
	"encoding/base64"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestStory has one message go from an account here to one on another server, with all that
// can happen on the way, and asks both servers for its story.
func TestStory(t *testing.T) {
	mx := freePort(t)
	far := newRig(t, rigOptions{mx: mx})
	far.run(t, "", "domain", "add", "far.test")
	far.addAccount(t, "bob@far.test")
	near := newRig(t, rigOptions{relay: mx})
	ada := near.person(t, "ada")
	near.start(t)

	c, err := dialSMTP(near.submission)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.cmd("235", "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00"+ada+"\x00"+near.password))); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]string{{"250", "MAIL FROM:<" + ada + ">"}, {"250", "RCPT TO:<bob@far.test>"}, {"250", "RCPT TO:<nobody@far.test>"}, {"354", "DATA"},
		{"250", "From: " + ada + "\r\nMessage-ID: <story@home.test>\r\nSubject: s\r\n\r\nbody\r\n."}} {
		if _, err := c.cmd(step[0], "%s", step[1]); err != nil {
			t.Fatal(err)
		}
	}
	const byID = "<story@home.test>"
	near.story(t, byID, "could not be asked") // nobody is there yet
	id := strings.Fields(near.run(t, "", "queue", "list", "--quiet"))[0]
	near.operate(t, "hold", id)
	far.start(t)
	near.operate(t, "retry", id)
	text := near.story(t, byID, "The server of bob@far.test has it", "it failed for nobody@far.test")
	at := 0
	for _, want := range []string{
		"A message from ada@home.test with Message-ID <story@home.test> came from the account ada@home.test", "by submission and was taken", "For bob@far.test it went into the queue",
		"could not be asked", "An administrator changed it: it is held until it is released.", "An administrator changed it: it is tried again now.",
		mx + " was asked to take it", "The server of bob@far.test has it: 250 2.", "For nobody@far.test it was refused for good", "The sender ada@home.test was told: it failed for nobody@far.test."} {
		n := strings.Index(text[at:], want)
		if n < 0 {
			t.Fatalf("no %q, or not there, in\n%s", want, text)
		}
		at += n
	}
	if text := near.story(t, id, "The sender ada@home.test was told"); !strings.Contains(text, "story@home.test") {
		t.Errorf("by queue id: %s", text)
	}
	if text := near.story(t, ada, "It is about the message "); !strings.Contains(text, "It was delivered to ada@home.test, mailbox INBOX.") {
		t.Errorf("the report: %s", text)
	}
	far.story(t, byID, "A message from ada@home.test with Message-ID <story@home.test> came from 127.0.0.1", "It was delivered to bob@far.test, mailbox INBOX.", "For nobody@far.test it was refused for good: 550 5.1.1")
}

// story asks until the trace tells all of want.
func (r *rig) story(t *testing.T, what string, want ...string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		text, lacking := r.run(t, "", "trace", what), ""
		for _, w := range want {
			if !strings.Contains(text, w) {
				lacking = w
			}
		}
		if lacking == "" {
			return text
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in the story of %s:\n%s", lacking, what, text)
		}
	}
}

// operate changes an entry of the queue, again while it is being attempted.
func (r *rig) operate(t *testing.T, verb, id string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		out, err := exec.Command(binary, "queue", verb, id, "--config", r.config).CombinedOutput()
		if err == nil {
			return
		}
		if !strings.Contains(string(out), "try again") || time.Now().After(end) {
			t.Fatalf("queue %s %s: %v\n%s", verb, id, err, out)
		}
	}
}
