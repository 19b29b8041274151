package imap

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// dialogueOf is the name of the dialogue that shows a capability: "SORT=DISPLAY" is
// sort_display.txt. Beside it stand NAME_two.txt, with a second connection, and
// NAME_bad.txt, with what is refused.
func dialogueOf(capability string) string {
	return strings.NewReplacer("=", "_", "-", "_", "+", "_plus").Replace(strings.ToLower(capability))
}

// TestEveryCapability: each capability that a client may see has its three dialogues,
// which TestTranscripts plays, whole and byte by byte. The announcement is that of
// a server where everything is on.
func TestEveryCapability(t *testing.T) {
	h := newHouse(t, Options{TLSConfig: selfSigned(t), AllowPlaintextLogin: true, JMAP: "https://demo.test/", Limits: Limits{Messages: 1000}})
	c := h.client("root")
	c.send("a CAPABILITY\r\n")
	words := strings.Fields(c.until("* CAPABILITY")[0])[2:]
	for _, x := range h.srv.tables.extensions {
		if x.name != "" && x.caps == nil && !slices.Contains(words, x.name) {
			t.Errorf("%s is not announced", x.name)
		}
		if x.name == "" {
			continue
		}
		name := dialogueOf(x.name)
		shows(t, name, x, func(string) bool { return true })
		shows(t, name+"_two", x, func(s string) bool { return regexp.MustCompile(`(?m)^S[2-9]: \S`).MatchString(s) })
		shows(t, name+"_bad", x, func(s string) bool { return regexp.MustCompile(`(?m)^S\d*: \S+ (NO|BAD)`).MatchString(s) })
	}
	known := map[string]bool{}
	for _, x := range h.srv.tables.extensions {
		known[x.name] = true
	}
	for _, w := range words { // those that one extension announces as several words
		base, _, _ := strings.Cut(w, "=")
		if !known[w] && !known[base] && base != "AUTH" && base != "QUOTASET" && base != "RIGHTS" {
			t.Errorf("%s is announced by no extension of that name", w)
		}
	}
}

// shows checks that a dialogue is there, cites the extension's RFC or a later one, and
// does what it should.
func shows(t *testing.T, name string, x *extension, does func(text string) bool) {
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Errorf("%s: no dialogue: %v", x.name, err)
		return
	}
	if !does(string(text)) {
		t.Errorf("%s: %s.txt does not show what its name says", x.name, name)
	}
}

// notUIDOnly are dialogues whose connections end, are not ours to begin, or need another
// server.
var notUIDOnly = regexp.MustCompile(`(?m)^! (raw|imaps|compress|tls|jmap|limit)|^C\d*: <|UNAUTHENTICATE|STARTTLS|COMPRESS`)

// TestTranscriptsUIDOnly plays the clients' side of all dialogues once more with
// UIDONLY enabled (RFC 9586 §3), as far as that is legal: commands that name messages
// by number must be refused, and nothing that the server says may number a message.
func TestTranscriptsUIDOnly(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	var refused atomic.Int64
	t.Cleanup(func() { // when all have ended
		if played < 150 || refused.Load() < 200 {
			t.Errorf("%d dialogues played, %d commands refused: most are left out", played, refused.Load())
		}
	})
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if notUIDOnly.Match(text) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some wait for a literal that never comes
			refused.Add(int64(playUIDOnly(t, string(text))))
		})
		played++
	}
}

// numberedRE are what numbers a message.
var numberedRE = regexp.MustCompile(`^\* \d+ (FETCH|EXPUNGE)\b|^\* OK \[UNSEEN `)

// playUIDOnly plays the clients' lines of one dialogue and returns how many commands
// were refused for their numbers.
func playUIDOnly(t *testing.T, text string) (refused int) {
	h := newHouse(t, Options{AllowPlaintextLogin: true, Logger: slog.New(slog.DiscardHandler)})
	deliveries := 3
	users := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^! (mail|user\d) (\S+)`).FindAllStringSubmatch(text, -1) {
		if m[1] == "mail" {
			deliveries = len(strings.Repeat("x", atoi(m[2])))
		} else {
			users[m[1][4:]] = m[2]
		}
	}
	for i := range min(deliveries, 20) {
		if err := h.deliver(1, "INBOX", sample(i)); err != nil {
			t.Fatal(err)
		}
	}
	conns := map[string]string{}
	order := []string{""}
	for _, m := range regexp.MustCompile(`(?m)^C(\d*)[~|]?(?:\*\d+)?: ?(.*)$`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(order, m[1]) {
			order = append(order, m[1])
		}
		if !strings.Contains(m[2], "{") && !strings.Contains(m[2], `\x`) {
			conns[m[1]] += m[2] + "\r\n"
		}
	}
	for _, label := range order { // one after the other: no dialogue needs them mixed to be legal
		user := users[label]
		if user == "" {
			user = "ada"
		}
		out := converse(t, h, "L LOGIN "+user+" demo\r\nU ENABLE UIDONLY\r\n"+conns[label])
		if problem := checkGrammar(out); problem != "" {
			t.Errorf("%s\nin %q", problem, out)
		}
		_, after, _ := strings.Cut(out, "* ENABLED UIDONLY\r\n")
		for line := range strings.SplitSeq(after, "\r\n") {
			if numberedRE.MatchString(line) {
				t.Errorf("a message is numbered: %s", line)
			}
			if strings.Contains(line, "[UIDREQUIRED]") {
				refused++
			}
		}
	}
	return refused
}

func atoi(s string) (n int) {
	for _, c := range s {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}
