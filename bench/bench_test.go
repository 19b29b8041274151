package main

import (
	"bytes"
	"context"
	"errors"
	"net/mail"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/mailauth/dkim"
)

func TestMessage(t *testing.T) {
	text, at := message(8192, "a@x.test", "b@x.test")
	number(text[at:at+serialWidth], 1234567890)
	if len(text) != 8192 || !bytes.HasSuffix(text, []byte("\r\n")) {
		t.Errorf("%d bytes, ends in %q", len(text), text[len(text)-4:])
	}
	for line := range bytes.Lines(text) {
		if len(line) > 998 || !bytes.HasSuffix(line, []byte("\r\n")) || line[0] == '.' {
			t.Errorf("bad line %q", line)
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil || m.Header.Get("Message-ID") != "<00000000001234567890@client.example>" {
		t.Errorf("%v, Message-ID %q", err, m.Header.Get("Message-ID"))
	}
}

func TestUsage(t *testing.T) {
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 16))
	if pids := tree([]int{os.Getpid()}); !slices.Contains(pids, cmd.Process.Pid) {
		t.Errorf("tree %v lacks the child %d", pids, cmd.Process.Pid)
	}
	u, err := readUsage([]int{cmd.Process.Pid})
	if err != nil || u.cpu <= 0 {
		t.Errorf("usage %v, %v", u, err)
	}
	in.Close()
	cmd.Wait()
	if _, err := readUsage([]int{cmd.Process.Pid}); err == nil {
		t.Error("no error for a process that has ended")
	}
}

func TestSumCalls(t *testing.T) {
	table := "strace: Process 7 attached\n    calls syscall\n--------- ----------------\n       12 fdatasync\n        3 fsync\n--------- ----------------\n       15 total\n"
	if n, ok := sumCalls(table); n != 15 || !ok {
		t.Errorf("%d, %v", n, ok)
	}
	if _, ok := sumCalls("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted\n"); ok {
		t.Error("a failed attach was taken for no calls")
	}
}

func TestWatcher(t *testing.T) {
	w := &watcher{want: "attached", seen: make(chan struct{})}
	cmd := exec.Command("sh", "-c", "echo Process 7 attached; echo more")
	cmd.Stdout = w
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.seen:
	default:
		t.Error("the word was not seen")
	}
	if w.text.String() != "Process 7 attached\nmore\n" {
		t.Errorf("kept %q", w.text.String())
	}
}

func TestDeliveryRow(t *testing.T) {
	w := workload{imapAppend, 10}
	mine := &deliveryCell{w: w, peer: &peer{name: ours}, rounds: []measurement{{rate: 3000, cpu: 100_000}}}
	dovecot := &deliveryCell{w: w, peer: &peer{name: "Dovecot"}, rounds: []measurement{{rate: 1000, cpu: 500_000}}, syncs: 4}
	for c, want := range map[*deliveryCell]string{mine: "APPEND 10 Posthouse 3000  100 ", dovecot: "APPEND 10 Dovecot 1000 3.0 500 5.0 "} {
		if got := strings.Join(c.row(mine), " "); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestWrite replaces one part of a document and leaves the others.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.md")
	if err := os.WriteFile(file, []byte("# Old\n\n## The mail client\n\nfast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := table{head: []string{"row", "server", "ms"}, rows: [][]string{{"SELECT", ours, "1"}}}
	for _, p := range []part{parts[1], parts[0], parts[1]} {
		if err := one.write(file, p, []string{"Date: today"}); err != nil {
			t.Fatal(err)
		}
		one.rows[0][2] += "0"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := documentHead + "\n## Delivery\n\n* Date: today\n\n| row | server | ms |\n|---|---|--:|\n| SELECT | Posthouse | 10 |\n" +
		"\n## IMAP commands\n\n* Date: today\n\n| row | server | ms |\n|---|---|--:|\n| SELECT | Posthouse | 100 |\n\n## The mail client\n\nfast\n"
	if string(text) != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
}

// TestMailbox wants each message of the large mailbox to be one that any parser reads.
func TestMailbox(t *testing.T) {
	text, total := newMailboxText(), 0
	for i := range 500 {
		b := text.message(i, 500)
		total += len(b)
		if m, err := mail.ReadMessage(bytes.NewReader(b)); err != nil || m.Header.Get("Subject") == "" {
			t.Fatalf("message %d: %v", i, err)
		}
		for line := range bytes.Lines(b) {
			if len(line) > 998 || !bytes.HasSuffix(line, []byte("\r\n")) {
				t.Fatalf("message %d: bad line %q", i, line)
			}
		}
	}
	if mean := total / 500; mean < meanSize*8/10 || mean > meanSize*12/10 {
		t.Errorf("messages of %d bytes in the mean, want about %d", mean, meanSize)
	}
}

// TestSigned wants the signature of a row's message to hold whatever its serial.
func TestSigned(t *testing.T) {
	key, err := senderKey()
	if err != nil {
		t.Fatal(err)
	}
	names, err := startNames(key)
	if err != nil {
		t.Fatal(err)
	}
	defer names.close()
	text, at := message(8192, "sender@"+senderDomain, "u0000@bench.test")
	whole, err := signed(text, key)
	if err != nil {
		t.Fatal(err)
	}
	at += len(whole) - len(text)
	number(whole[at:at+serialWidth], 987654321)
	addr, err := netip.ParseAddrPort(names.conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := dns.New(dns.Options{Servers: []dns.Server{{Addr: addr}}, Timeout: 20 * time.Second})
	defer resolver.Close()
	m := dkim.NewMessage(dkim.Limits{}, false)
	m.Write(whole)
	m.Finish()
	if r := m.Verify(t.Context(), dkim.NewKeys(resolver, time.Now)); len(r) != 1 || r[0].Status != dkim.Pass || r[0].Bits != 2048 {
		t.Errorf("%+v", r)
	}
	if _, err := resolver.LookupTXT(t.Context(), "other.example"); !errors.Is(err, dns.ErrNotExist) {
		t.Errorf("another name: %v", err)
	}
}

// TestSink wants each message to be counted once, dots and all.
func TestSink(t *testing.T) {
	s, err := startSink()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &peer{addrs: map[protocol]string{smtpDeliver: s.Addr().String()}, domain: "bench.test"}
	c, err := connect(p, workload{smtpDeliver, 1}, 0, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(3) {
		if err := c.send(n); err != nil {
			t.Fatal(err)
		}
	}
	c.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.wait(ctx, 3, false); err != nil {
		t.Error(err)
	}
	if err := s.wait(ctx, 3, true); err == nil {
		t.Error("messages without a signature pass for signed ones")
	}
}
