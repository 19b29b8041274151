package e2e

import (
	"context"
	"strings"
	"testing"

	"posthouse/internal/peers"
)

// TestNeomuttAndPostfix is a day of mail: neomutt reads, flags, moves and
// answers a message; the answer goes through submission and the queue to a real
// Postfix; Postfix answers through our MX.
func TestNeomuttAndPostfix(t *testing.T) {
	mx := freePort(t)
	far := peers.StartPostfix(t, peers.PostfixOptions{Domain: "far.test", Users: []string{"bo"}, Routes: map[string]string{"home.test": mx}})
	r := newRig(t, rigOptions{relay: far.SMTP, mx: mx})
	r.start(t)
	user := r.person(t, "ada")
	c, err := dialSMTP(r.mx)
	if err != nil {
		t.Fatal(err)
	}
	msg := "From: Bo <bo@far.test>\r\nTo: " + user + "\r\nSubject: Lunch?\r\nMessage-ID: <lunch@far.test>\r\nDate: Sun, 01 Nov 2026 12:00:00 +0000\r\n\r\nToday?\r\n"
	if err := c.send("bo@far.test", user, []byte(msg)); err != nil {
		t.Fatal(err)
	}
	newNeomutt(t, r, user).types(t, "<first-entry><flag-message><reply><send-message><save-message>=Archive<enter><sync-mailbox><quit>")

	in := mustIMAP(t, r.imap, user, r.password)
	a, err := in.cmd("SELECT Archive")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := a.number("* "); n == 0 {
		t.Fatalf("the message did not arrive in Archive: %q", a.untagged)
	}
	a, err = in.cmd("FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
	if err != nil || !strings.Contains(a.untagged[0], `\Flagged`) || !strings.Contains(a.untagged[0], `\Answered`) || !strings.Contains(a.untagged[0], "Lunch?") {
		t.Fatalf("Archive holds %q (%v), want the message flagged and answered", a.untagged, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := far.Mail(ctx, "bo", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Return-Path: <" + user + ">", "Delivered-To: bo@far.test", "In-Reply-To: <lunch@far.test>", "Yes, gladly."} {
		if !strings.Contains(got[0], want) {
			t.Errorf("Postfix got a message without %q:\n%s", want, got[0])
		}
	}
	bo, err := dialSMTP(far.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer bo.Close()
	if err := bo.send("bo@far.test", user, []byte("Subject: See you\r\n\r\nAt noon.\r\n")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, in, "INBOX", "SUBJECT \"See you\"", 1)
}
