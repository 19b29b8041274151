package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What `config default` prints is the default: as it is, and with every comment
// sign before a key taken away.
func TestDefaultFile(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefault(&b); err != nil {
		t.Fatal(err)
	}
	var full strings.Builder
	keys := 0
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
			keys++
		}
		full.WriteString(line)
	}
	if keys != len(Keys()) {
		t.Errorf("%d keys in the file, %d in the table", keys, len(Keys()))
	}
	for name, text := range map[string]string{"commented": b.String(), "uncommented": full.String(), "empty": ""} {
		c, err := Parse("x.toml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(c, Default()) {
			t.Errorf("%s: got %+v\nwant %+v", name, c, Default())
		}
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 150 {
			t.Errorf("long line: %s", line)
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	for _, k := range Keys() {
		if k.Doc == "" || k.Allowed == "" || k.Type == "" {
			t.Errorf("%s has no doc", k.Name)
		}
		var b bytes.Buffer
		if _, found, err := Explain(&b, k.Name); err != nil || !found || !strings.Contains(b.String(), k.Default) {
			t.Errorf("%s: %v %v %s", k.Name, found, err, b.String())
		}
	}
	if n, found, _ := Explain(&bytes.Buffer{}, "limit.mesage"); found || n != "limits.message" {
		t.Errorf("nearest to limit.mesage: %q", n)
	}
	if n, _, _ := Explain(&bytes.Buffer{}, "message"); n != "limits.message" {
		t.Errorf("nearest to message: %q", n)
	}
}

func TestValues(t *testing.T) {
	c, err := Parse("x.toml", []byte(`
hostname = "mail.example.org"
[listen]
mx = ["127.0.0.1:2525", "[::1]:2525"]
lmtp = ["/run/posthouse/lmtp"]
[queue]
retry = ["1m", "1d2h"]
expire = "5d"
smarthost = "[2001:db8::1]:587"
[queue.routes]
"example.net" = "relay.internal:25"
[limits]
mailboxes = 0
message = "30 MB"
keywords = "off"
imap_idle_time = "1h30m"
imap_line = 65_536
http_header = "64kB"
`))
	if err != nil {
		t.Fatal(err)
	}
	l := c.Limits
	if l.Message != 30<<20 || l.Mailboxes != Off || l.Keywords != Off || l.IMAPLine != 65536 || l.HTTPHeader != 64<<10 {
		t.Errorf("%+v", l)
	}
	if l.IMAPIdleTime.Duration() != 90*time.Minute || c.Queue.Retry[1].Duration() != 26*time.Hour {
		t.Errorf("%v %v", l.IMAPIdleTime, c.Queue.Retry)
	}
	if c.Queue.Routes["example.net"] != "relay.internal:25" || len(c.Listen.MX) != 2 {
		t.Errorf("%+v %+v", c.Queue, c.Listen)
	}
}

func TestProblems(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"unknown key", "\n\n[limits]\nmesage = 5\n", "x.toml:4: limits.mesage: there is no such key. Did you mean limits.message?"},
		{"in another section", "message = 5", "x.toml:1: message: there is no such key. Did you mean limits.message?"},
		{"far from all", "[imap]\nqqqqqqqqqqqqqq = 1", "x.toml:2: imap.qqqqqqqqqqqqqq: there is no such key. `posthouse config default` prints all keys"},
		{"unknown section", "[limit]\nx = 1", "x.toml:1: limit: there is no such key (no section [limit]). Did you mean [limits]?"},
		{"section as value", "limits = 3", "x.toml:1: limits: is a section: write [limits] on a line of its own and its keys below"},
		{"wrong type", "hostname = 5", "x.toml:1: hostname: this is a number; allowed: any text"},
		{"wrong boolean", "allow_plaintext_login = \"yes\"", "x.toml:1: allow_plaintext_login: this is a string; allowed: true, false"},
		{"wrong size", "[limits]\nmessage = \"5 parsecs\"", `x.toml:2: limits.message: "5 parsecs" is not a size as "64 kB", "50 MB" or "2 GB", or 0 or "off"; allowed: bytes, or as "64 kB", "50 MB", "2 GB", or 0 or "off"`},
		{"negative", "[limits]\nmailboxes = -1", `x.toml:2: limits.mailboxes: "-1" is not a whole number, or 0 or "off"; allowed: a whole number, or 0 or "off"`},
		{"cannot be off", "[limits]\nhash_memory = 0", `x.toml:2: limits.hash_memory: "0" is not allowed: this cannot be switched off; allowed: bytes, or as "64 kB", "50 MB", "2 GB"`},
		{"one of", "[log]\nlevel = \"warning\"", `x.toml:2: log.level: "warning" is not allowed; allowed: debug, info, warn, error. Did you mean "warn"?`},
		{"no port", "[listen]\nimap = [\"127.0.0.1\"]", `x.toml:2: listen.imap: "127.0.0.1" is not host:port (the port is missing), as "127.0.0.1:25" or ":25"`},
		{"taken", "[listen]\nimap = [\":993\"]", "x.toml: listen.imaps: :993 is taken by listen.imap already"},
		{"syntax", "a = \n", "x.toml:1: "},
		{"twice", "hostname = \"a\"\nhostname = \"b\"", "x.toml:2: "},
		{"half of TLS", "[tls]\ncert = \"x\"", "x.toml:1: tls: cert and key belong together: give both or none"},
		{"list of other things", "[listen]\nmx = [25]", "x.toml:2: listen.mx: this is a number; allowed: list of host:port; an empty host is every address, port 0 a free one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("x.toml", []byte(test.in))
			var ps Problems
			if !errors.As(err, &ps) {
				t.Fatalf("error %v", err)
			}
			if got := ps.Error(); !strings.HasPrefix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Parse("x.toml", []byte("hostnam = \"x\"\n[log]\nlevle = \"info\"\n[limits]\nmessage = true\n"))
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 3 || ps[0].Line != 1 || ps[1].Line != 3 || ps[2].Line != 5 {
		t.Fatalf("%v", err)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.toml")
	if _, err := Load(path); err == nil {
		t.Fatal("a file that is not there")
	}
	if err := os.WriteFile(path, []byte("hostname = \"mx.example.org\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Hostname != "mx.example.org" {
		t.Fatal(c, err)
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Fatal("a huge file")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[limits]\nmessage = \"30 MB\"\n"))
	f.Add([]byte("[queue]\nretry = [\"1m\"]\n[queue.routes]\na=\"b:1\"\n"))
	f.Add([]byte("a.b.c = {d = [1, 2.5]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parse("x", data)
		var ps Problems
		if err != nil && !errors.As(err, &ps) {
			t.Fatalf("not Problems: %v", err)
		}
	})
}

func TestChanged(t *testing.T) {
	a, b := Default(), Default()
	if live, later := Changed(a, b); len(live)+len(later) != 0 {
		t.Error(live, later)
	}
	b.Log.Level, b.Limits.Message, b.Listen.MX = "debug", 5, []string{":26"}
	live, later := Changed(a, b)
	if !reflect.DeepEqual(live, []string{"log.level"}) || !reflect.DeepEqual(later, []string{"listen.mx", "limits.message"}) {
		t.Error(live, later)
	}
}

func TestSenderKeys(t *testing.T) {
	for text, want := range map[string]string{
		"[smtp]\nsender_checks = \"enforced\"\n":                                                                            "smtp.sender_checks",
		"[smtp]\ntrusted_forwarders = [\"a@b.example\"]\n":                                                                  "smtp.trusted_forwarders",
		"[smtp]\nlists = { \"zen.example.org\" = \"much\" }\n":                                                              "smtp.lists",
		"[queue]\nproviders = { \"google.com\" = \"connections=0\" }\n":                                                     "queue.providers",
		"[queue]\nproviders = { \"google.com\" = \"speed=9\" }\n":                                                           "queue.providers",
		"[queue]\nproviders = { \"google.com\" = \"rest=1h most_rest=1m\" }\n":                                              "queue.providers",
		"[queue]\nproviders = { \"google.com\" = \"connections=3 per_connection=9 per_minute=60 rest=1m most_rest=1h\" }\n": "",
		"[smtp]\nlists = { \"zen.example.org\" = \"10\" }\n":                                                                "",
		"[smtp]\ntrusted_forwarders = [\"lists.example.org\"]\n":                                                            "",
	} {
		_, err := Parse("x.toml", []byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
