package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"posthouse/internal/corpus"
)

// TestSwaksToMbsync sends each message of the sample corpus through the MX with
// swaks and wants FETCH to give the same bytes back, and mbsync to bring them into
// a Maildir. Messages that DATA cannot carry go by BDAT; those that mbsync does not
// keep as they are, by its own ways, are only fetched.
func TestSwaksToMbsync(t *testing.T) {
	r := startRig(t)
	user := r.person(t, "ada")
	c, err := dialSMTP(r.mx)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var sent [][]byte
	for i, m := range sampleMessages() {
		if forDATA(m) {
			r.swaks(t, dir, user, m, i)
		} else if err := c.sendChunk("a@far.test", user, m); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		sent = append(sent, m)
	}
	fetched := fetchAll(t, mustIMAP(t, r.imap, user, r.password), "INBOX")
	if len(fetched) != len(sent) {
		t.Errorf("%d messages arrived, want %d", len(fetched), len(sent))
	}
	wantEach(t, fetched, sent)

	mb := newMbsync(t, r, user)
	mb.sync(t)
	var kept, files [][]byte
	for _, m := range sent {
		if forMbsync(m) {
			kept = append(kept, unix(m))
		}
	}
	for _, m := range readMaildir(t, filepath.Join(mb.dir, "mail", "INBOX")) {
		files = append(files, m.body)
	}
	wantEach(t, files, kept)
}

// fetchAll returns the messages of a mailbox.
func fetchAll(t *testing.T, c *imapConn, mailbox string) [][]byte {
	t.Helper()
	if _, err := c.cmd("EXAMINE %s", mailbox); err != nil {
		t.Fatal(err)
	}
	a, err := c.cmd("FETCH 1:* BODY.PEEK[]")
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, u := range a.untagged {
		_, rest, ok := strings.Cut(u, "BODY[] {")
		if !ok {
			continue
		}
		size, rest, _ := strings.Cut(rest, "}\n")
		n, err := strconv.Atoi(size)
		if err != nil || n > len(rest) {
			t.Fatalf("FETCH answered %.80q", u)
		}
		all = append(all, []byte(rest[:n]))
	}
	return all
}

// forMbsync reports whether mbsync keeps m as it is: it refuses a message whose
// header does not end, and drops a CR that stands alone.
func forMbsync(m []byte) bool {
	m = unix(m)
	return (bytes.Contains(m, []byte("\n\n")) || bytes.HasPrefix(m, []byte("\n"))) && !bytes.ContainsRune(m, '\r')
}

// sampleMessages are the sample corpus, the hard cases, and large and binary
// messages.
func sampleMessages() [][]byte {
	var all [][]byte
	for i, m := range corpus.Demo(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)) {
		if i%5 == 0 || !testing.Short() {
			all = append(all, m.Raw)
		}
	}
	for _, m := range corpus.Hard() {
		all = append(all, m.Raw)
	}
	return append(all, binaryMessages()...)
}

// forDATA reports whether DATA can carry m as it is: whole lines that end in CRLF
// and nothing else (RFC 5321 §2.3.8), none of them too long.
func forDATA(m []byte) bool {
	for line := range bytes.Lines(m) {
		text, whole := bytes.CutSuffix(line, []byte("\r\n"))
		if !whole || len(text) > 998 || bytes.ContainsAny(text, "\r\n\x00") {
			return false
		}
	}
	return len(m) > 0
}

func binaryMessages() [][]byte {
	head := "From: a@far.test\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 100_000)
	for i := range noise {
		for noise[i] = byte(rng.Uint32()); noise[i] == '\n' || noise[i] == '\r'; {
			noise[i] = byte(rng.Uint32())
		}
	}
	big := bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890123\r\n"), 30<<20/66)
	return [][]byte{
		fmt.Appendf(nil, head+"caf\xe9 \xff\xfe\x80\r\n", "8-bit"),
		append(fmt.Appendf(nil, head, "binary"), append(noise, '\r', '\n')...),
		append(fmt.Appendf(nil, head, "large"), big...),
	}
}

// wantEach wants each sent message to be a different one of got, byte for byte
// behind its trace.
func wantEach(t *testing.T, got, sent [][]byte) {
	t.Helper()
	for i, s := range sent {
		at := slices.IndexFunc(got, func(g []byte) bool { return holds(g, s) })
		if at < 0 {
			t.Errorf("message %d is not there with the same bytes: %.200q", i, s)
			continue
		}
		got = slices.Delete(got, at, at+1)
	}
}
