package smtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"posthouse/store/engine/mem"
)

// replyRE is a reply line, RFC 5321 §4.2, with an enhanced code of the same class
// where there is one.
var replyRE = regexp.MustCompile(`^([2345])\d\d[ -][\x20-\x7e]*$`)

// FuzzServer talks to all faces of a whole server: it must answer in SMTP, keep
// its memory, and end when the peer does.
func FuzzServer(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no transcripts", err)
	}
	for i, name := range files {
		text, err := os.ReadFile(name)
		must(f, err)
		f.Add(uint8(i), clientSide(string(text)))
	}
	h := newHouse(f, mem.New(), func(o *Options) {
		o.AllowPlaintextLogin = true
		o.Limits = Limits{LoginPause: -1, Message: 1 << 16, BadCommands: 1000, BadCommandsBeforeLogin: 1000, Recipients: 20, DataLine: 4096}
	})
	f.Fuzz(func(t *testing.T, face uint8, in []byte) {
		if len(in) > 1<<17 {
			return
		}
		ours, theirs := net.Pipe()
		defer ours.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.srv.ServeConn(context.Background(), theirs, [...]Face{MX, Submission, LMTP}[face%3])
		}()
		out := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(ours) // ends with the server
			out <- b
		}()
		must(t, ours.SetWriteDeadline(time.Now().Add(10*time.Second)))
		_, _ = ours.Write(in) // the server may leave before it has read all
		if bytes.Contains(bytes.ToUpper(in), []byte("STARTTLS")) {
			must(t, ours.Close())
		} else {
			_, _ = ours.Write([]byte("\r\n.\r\nQUIT\r\n"))
			must(t, ours.Close())
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("the server does not end after %q", in)
		}
		checkReplies(t, <-out)
		if p := h.srv.Stats().Panics; p != 0 {
			t.Fatal(h.log.String())
		}
	})
}

func checkReplies(t *testing.T, out []byte) {
	t.Helper()
	text, whole := strings.CutSuffix(string(out), "\r\n")
	if !whole { // cut off by our end of the pipe
		i := strings.LastIndex(text, "\r\n")
		text = text[:max(i, 0)]
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if strings.HasPrefix(line, "\x15\x03") || line == "" { // a TLS alert
			return
		}
		if !replyRE.MatchString(line) {
			t.Fatalf("no reply: %q", line)
		}
	}
}

// clientSide is what the client of a transcript sends.
func clientSide(text string) []byte {
	var b []byte
	for line := range strings.SplitSeq(text, "\n") {
		mark, what, _ := strings.Cut(line, ": ")
		if !strings.HasPrefix(mark, "C") || strings.HasPrefix(what, "<") {
			continue
		}
		if u, err := strconv.Unquote(`"` + strings.ReplaceAll(what, `"`, `\"`) + `"`); err == nil && strings.Contains(mark, "~") {
			b = append(b, u...)
		} else {
			b = append(append(b, what...), "\r\n"...)
		}
	}
	return b
}
