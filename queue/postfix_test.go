package queue_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"posthouse/internal/peers"
	"posthouse/mail"
	"posthouse/queue"
	"posthouse/store/engine"
)

// A real Postfix takes what the queue sends.
func TestPostfix(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Postfix")
	}
	pf := peers.StartPostfix(t, peers.PostfixOptions{Users: []string{"ada", "many", "ÿna"}})
	w := newWorld(t, pf.Port, nil)
	w.dns.SetZone(t, "pf.test. MX 10 mx.pf.test.\nmx.pf.test. A 127.0.0.1\n")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	send := func(content string, change func(*mail.Envelope), to ...string) {
		t.Helper()
		env := envelope(to...)
		if change != nil {
			change(&env)
		}
		if err := w.q.Add(ctx, env, queue.Message{Blob: &engine.Blob{Bytes: []byte(content)}, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
	}
	line := strings.Repeat("0123456789", 7) + " äöü\r\n"
	contents := []string{
		"Subject: small\r\n\r\n.\r\n..dots\r\n.x\r\n\r\n",
		"Subject: 8 bit\r\n\r\n" + line,
		"Subject: large\r\n\r\n" + strings.Repeat(line, 20_000), // 1.5 MB
	}
	for i, c := range contents {
		send(c, func(e *mail.Envelope) { e.Body = mail.Body8BitMIME }, "ada@pf.test")
		w.idle()
		got, err := pf.Mail(ctx, "ada", i+1)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ReplaceAll(c, "\r\n", "\n"); !strings.HasSuffix(got[i], want) {
			t.Errorf("message %d: %d octets arrived, %.200q", i, len(got[i]), got[i])
		}
	}
	send("Subject: ÿ\r\n\r\nx\r\n", func(e *mail.Envelope) { e.UTF8 = true; e.ReversePath.Local = "ädä" }, "ÿna@pf.test")
	w.idle()
	if got, err := pf.Mail(ctx, "ÿna", 1); err != nil || !strings.Contains(got[0], "Return-Path: <ädä@a.test>") {
		t.Errorf("%q, %v", got, err)
	}

	for i := range 100 {
		send(contents[0], nil, "many@pf.test", fmt.Sprintf("nobody%d@pf.test", i))
	}
	w.idle()
	if _, err := pf.Mail(ctx, "many", 100); err != nil {
		t.Error(err)
	}
	w.empty()
	dsns := w.inj.all()
	if len(dsns) != 100 {
		t.Fatalf("%d reports", len(dsns))
	}
	contains(t, dsns[0].content, "Status: 5.1.1", "Remote-MTA: dns; mx.pf.test", "Diagnostic-Code: smtp; 550 5.1.1 <nobody")
	log, err := os.ReadFile(pf.Log)
	if err != nil || !strings.Contains(string(log), "TLS connection established from") {
		t.Errorf("no TLS, %v", err)
	}
	if strings.Contains(string(log), "improper command pipelining") || strings.Contains(string(log), "warning: non-SMTP") {
		t.Error("Postfix complains")
	}
}
