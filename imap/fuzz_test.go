package imap

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
		if problem := checkGrammar(out); problem != "" {
			t.Fatalf("%s\nafter %q\nin %q", problem, in, out)
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

var (
	literalRE = regexp.MustCompile(`~?\{(\d+)\}$`)
	statusRE  = regexp.MustCompile(`^[^ ]+ (OK|NO|BAD|BYE) (\[[^\]\r\n]+\] )?[ -~]+$`)
	dataRE    = regexp.MustCompile(`^\* (\d+ )?[A-Z]+`)
)

// checkGrammar reads what a server said, as far as it is whole: CRLF, balanced
// quotes and parentheses, literals as long as they say, no control characters.
func checkGrammar(out string) string {
	for out != "" {
		var line strings.Builder // without what is in literals
		start := out
		for {
			part, rest, whole := strings.Cut(out, "\r\n")
			if !whole {
				return "" // cut off with the connection
			}
			line.WriteString(part)
			out = rest
			m := literalRE.FindStringSubmatch(part)
			if m == nil || statusRE.MatchString(line.String()) {
				break
			}
			n, err := strconv.Atoi(m[1])
			if err != nil || n > len(out) {
				return ""
			}
			out = out[n:]
		}
		if problem := checkLine(line.String()); problem != "" {
			return problem + ": " + strconv.Quote(start[:min(len(start), 300)])
		}
	}
	return ""
}

func checkLine(l string) string {
	switch {
	case strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "a control character"
	case strings.HasPrefix(l, "+ "), statusRE.MatchString(l):
		return ""
	case !dataRE.MatchString(l):
		return "not a response"
	}
	depth, quoted := 0, false
	for i := 0; i < len(l); i++ {
		switch c := l[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return "a parenthesis too many"
			}
		}
	}
	if depth != 0 || quoted {
		return "unbalanced"
	}
	return ""
}

// FuzzBadURL: what is told of a URL that names nothing is one line.
func FuzzBadURL(f *testing.F) {
	f.Add("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.5.MIME")
	f.Add("/\u0131\r\n]")
	f.Fuzz(func(t *testing.T, link string) {
		if msg := badURL(link).Error(); strings.ContainsAny(msg, "\r\n\x00") {
			t.Errorf("%q", msg)
		}
	})
}
