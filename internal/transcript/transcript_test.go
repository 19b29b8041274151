package transcript

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// toy is a small server with tagged commands, literals and nothing else.
type toy struct {
	greeting string
	tls      *tls.Config
	reads    func(n int) // told how much each read took
}

type countingConn struct {
	net.Conn
	reads func(int)
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.reads != nil && n > 0 {
		c.reads(n)
	}
	return n, err
}

func (s toy) dial(string) (net.Conn, error) {
	client, server := net.Pipe()
	go s.serve(countingConn{server, s.reads})
	return client, nil
}

func (s toy) serve(c net.Conn) {
	defer func() { c.Close() }()
	r := bufio.NewReader(c)
	fmt.Fprintf(c, "* OK ready %s\r\n", s.greeting)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		cmd, arg, _ := strings.Cut(rest, " ")
		switch cmd {
		case "say":
			fmt.Fprintf(c, "* %s\r\n", arg)
		case "put":
			num, plus := strings.CutSuffix(strings.Trim(arg, "{}"), "+")
			if !plus {
				io.WriteString(c, "+ go on\r\n")
			}
			n, _ := strconv.Atoi(num)
			b := make([]byte, n)
			io.ReadFull(r, b)
			r.ReadString('\n')
			nl := ""
			if !strings.HasSuffix(string(b), "\n") {
				nl = "\r\n"
			}
			fmt.Fprintf(c, "* got {%d}\r\n%s%s", n, b, nl)
		case "shuffle":
			io.WriteString(c, "* 2\r\n* 3\r\n* 1\r\n")
		case "tls":
			io.WriteString(c, tag+" OK go\r\n")
			c = tls.Server(c, s.tls)
			r = bufio.NewReader(c)
			continue
		case "more":
			fmt.Fprintf(c, "%s OK done\r\nstray\r\n", tag)
			continue
		case "part":
			io.WriteString(c, "half a line")
			return
		case "hang":
			io.ReadAll(r)
			return
		case "quit":
			io.WriteString(c, "* BYE\r\n")
			return
		}
		fmt.Fprintf(c, "%s OK done\r\n", tag)
	}
}

func TestRun(t *testing.T) {
	Run(t, "testdata/*.txt", func(t *testing.T, s *Script) Server {
		return Server{
			Dial: toy{greeting: s.Settings["motd"]}.dial,
			Do: map[string]func(string) error{"count": func(args string) error {
				if args != "3" {
					return fmt.Errorf("args %q", args)
				}
				return nil
			}},
		}
	}, Bytewise())
}

func TestBytewise(t *testing.T) {
	var longest, total int
	s, err := parse("x.txt", "# RFC 9051 §1: x\nS: ...\nC: a say hello\nS: * hello\nS: a OK done\nC: b quit\nS: * BYE\nS: <closed>\n")
	if err != nil {
		t.Fatal(err)
	}
	srv := toy{reads: func(n int) { total += n; longest = max(longest, n) }}
	player{script: s, timeout: 5 * time.Second, bytewise: true}.playAll(t, Server{Dial: srv.dial})
	if longest != 1 || total != len("a say hello\r\nb quit\r\n") {
		t.Errorf("reads of up to %d bytes, %d in all", longest, total)
	}
}

func TestTLS(t *testing.T) {
	hs := httptest.NewTLSServer(nil) // for its certificate only
	defer hs.Close()
	conf := &tls.Config{Certificates: hs.TLS.Certificates}
	s, err := parse("x.txt", "# RFC 8314 §3: TLS within a dialogue.\nS: ...\nC: a tls\nS: a OK go\nC: <tls>\nC: b say x\nS: * x\nS: b OK done\n")
	if err != nil {
		t.Fatal(err)
	}
	srv := toy{tls: conf}
	player{script: s, timeout: 5 * time.Second, tls: &tls.Config{InsecureSkipVerify: true}}.playAll(t, Server{Dial: srv.dial})
}

// recorder is a testing.T whose failure can be looked at.
type recorder struct {
	failed   string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// outcome plays steps and returns the failure, or "".
func outcome(t *testing.T, p player, steps string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.txt")
	text := "# RFC 9051 §1: x\n" + steps
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := parse(file, text)
	if err != nil {
		return err.Error()
	}
	p.script = s
	if p.timeout == 0 {
		p.timeout = 5 * time.Second
	}
	var r recorder
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		p.playAll(&r, Server{Dial: toy{}.dial})
	}()
	<-done
	if p.update {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(string(b), "# RFC 9051 §1: x\n")
	}
	return r.failed
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct{ steps, want string }{
		"other text":      {"S: ...\nC: a say x\nS: * y\n", "x.txt:4: \nwant S: * y\n got S: * x"},
		"other word":      {"S: ...\nC: a say 1 2\nS: * $x $x\n", "want S: * $x $x"},
		"captured before": {"S: ...\nC: a say 1\nS: * $x\nS: ...\nC: b say 2\nS: * $x\n", "with map[$x:1]"},
		"silence":         {"S: ...\nC: a hang\nS: a OK\n", "got nothing: timeout"},
		"half a line":     {"S: ...\nC: a part\nS: half a line\n", "closed within a line"},
		"not closed":      {"S: ...\nC: a say x\nS: <closed>\n", "want S: <closed>"},
		"closed":          {"S: ...\nC: a quit\nS: * BYE\nS: a OK done\n", "got S: <closed>"},
		"unordered":       {"S: ...\nC: a shuffle\nS&: * 1\nS&: * 2\nS&: * 4\n", "want S: * 1\nwant S: * 4\n got S: * 3"},
		"more":            {"S: ...\nC: a more\nS: a OK done\n", `the server said more: ["stray"]`},
		"any to the end":  {"S: <any>\n", "needs an S step"},
		"never comes":     {"S: <any>\nS: x\nC: a quit\n", "timeout"},
		"action":          {"S: ...\n! jump 3\n", `no action "jump"`},
		"no TLS":          {"S: ...\nC: <tls>\n", "no TLS option"},
		"neither":         {"hello\n", "not a C, S, ! or # line"},
		"raw S":           {"S~: x\n", "is no step"},
		"empty":           {"# nothing\n", "has no steps"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(t, player{timeout: 300 * time.Millisecond}, c.steps); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestCitationNeeded(t *testing.T) {
	for first, ok := range map[string]bool{
		"# RFC 9051 §6.3.2: SELECT":         true,
		"# RFC 6851: MOVE":                  true,
		"# Quirk: Example Mail, 2024: NOOP": true,
		"# shows SELECT":                    false,
		"# RFC":                             false,
		"C: a NOOP":                         false,
	} {
		if _, err := parse("x.txt", first+"\nS: ...\n"); (err == nil) != ok {
			t.Errorf("%s: %v", first, err)
		}
	}
}

func TestUpdate(t *testing.T) {
	for name, c := range map[string]struct{ steps, want string }{
		"unchanged":  {"S: ...\nC: a say x\nS: * $v\nS: a OK ...\n", "S: ...\nC: a say x\nS: * $v\nS: a OK ...\n"},
		"from ?":     {"S: ?\nC: a say x\nS: ?\n", "S: * OK ...\nC: a say x\nS: * x\nS: a OK ...\n"},
		"keeps":      {"S: ...\n# why\nC: a say x\nS: * y\nS: a ...\nC: b quit\nS: ?\n", "S: ...\n# why\nC: a say x\nS: * x\nS: a ...\nC: b quit\nS: * BYE\nS: <closed>\n"},
		"keeps any":  {"S: <any>\nS: * OK ...\nC: a shuffle\nS: <any>\nS: * 3\nS: ?\n", "S: <any>\nS: * OK ...\nC: a shuffle\nS: <any>\nS: * 3\nS: * 1\nS: a OK ...\n"},
		"exact":      {"S: ...\nC: a say \\xff...$x\nS: ?\n", "S: ...\nC: a say \\xff...$x\nS: * \\xff\\x2e..\\x24x\nS: a OK ...\n"},
		"too many S": {"S: ...\nC: a say x\nS: * x\nS: * x\nS: a OK done\n", "S: ...\nC: a say x\nS: * x\nS: a OK done\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(t, player{update: true}, c.steps); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if got := outcome(t, player{}, c.want); got != "" {
				t.Errorf("what was written does not play: %s", got)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"", "", true}, {"", "x", false}, {"...", "", true}, {"a...b", "ab", true}, {"a...b", "abc", false},
		{"a...b...c", "a b b c", true}, {"[$x]", "[17]", true}, {"[$x]", "[]", false}, {"[$x]", "[1 2]", false},
		{"$x:$y", "1:2", true}, {`\x41`, "A", true}, {`\Seen`, `\Seen`, true}, {`a\x2e..`, "a...", true}, {`a\x2e..`, "abc", false},
	} {
		if ok := match(c.want, c.got, vars{}); ok != c.ok {
			t.Errorf("match(%q, %q) = %v", c.want, c.got, ok)
		}
	}
}

func TestAbbreviate(t *testing.T) {
	for got, want := range map[string]string{
		"a OK [READ-WRITE] SELECT completed":   "a OK [READ-WRITE] ...",
		"* OK ready":                           "* OK ...",
		"* 3 EXISTS":                           "* 3 EXISTS",
		"+ go ahead":                           "+ ...",
		"250 2.1.0 sender ok":                  "250 2.1.0 ...",
		"250-SIZE 1000":                        "250-SIZE 1000",
		"354 go ahead":                         "354 ...",
		"* FLAGS (\\Seen $MDNSent)":            "* FLAGS (\\Seen $MDNSent)",
		"* 1 FETCH (BODY[] \"a\x00\u00e9\\x\"": "* 1 FETCH (BODY[] \"a\\x00\u00e9\\x\"",
	} {
		if s := abbreviate(got); s != want {
			t.Errorf("abbreviate(%q) = %q, want %q", got, s, want)
		}
	}
}
