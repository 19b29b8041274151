package imap

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzServer sends what comes to a whole server, logged in or not, with the
// dialogues as corpus. It must answer only what the grammar knows, never panic,
// and end soon after the client did.
func FuzzServer(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var in strings.Builder
		for line := range strings.Lines(string(text)) {
			if c, ok := strings.CutPrefix(line, "C: "); ok && !strings.HasPrefix(c, "<") {
				in.WriteString(strings.TrimRight(c, "\n") + "\r\n")
			}
		}
		f.Add(in.String(), true)
	}
	f.Add("a LOGIN ada demo\r\nb SELECT INBOX\r\n", false)
	h := newHouse(f, Options{AllowPlaintextLogin: true, Limits: Limits{MessageBytes: 1000, IdleTime: 5 * time.Second,
		LoginTime: 5 * time.Second, Line: 2000, Flood: 5000, PerUserAddress: 1000}})
	for i := range 3 {
		if err := h.deliver(1, "INBOX", sample(i)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, in string, loggedIn bool) {
		if len(in) > 20000 {
			return
		}
		if loggedIn {
			in = "L LOGIN ada demo\r\nS SELECT INBOX\r\n" + in
		}
		out := converse(t, h, in)
		for line := range strings.Lines(out) {
			if strings.ContainsRune(line, 0) {
				t.Fatalf("NUL in the output: %q", line)
			}
		}
		if n := h.srv.Stats().Panics; n > 0 {
			t.Fatalf("panic after %q", in)
		}
	})
}

// converse sends all of in and closes, and returns what the server said.
func converse(t *testing.T, h *house, in string) string {
	client, server := net.Pipe()
	h.srv.start(t.Context(), server, Face{})
	said := make(chan string)
	go func() {
		b, _ := io.ReadAll(client)
		said <- string(b)
	}()
	go func() {
		_, _ = io.WriteString(client, in)
		_, _ = io.WriteString(client, "\r\nDONE\r\nZ LOGOUT\r\n")
		_ = client.SetReadDeadline(time.Now().Add(time.Second)) // a literal may have eaten the LOGOUT
	}()
	select {
	case s := <-said:
		_ = client.Close()
		return s
	case <-time.After(10 * time.Second):
		t.Fatalf("the server hangs after %q", in)
	}
	return ""
}
