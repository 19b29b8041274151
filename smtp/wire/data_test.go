package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readers are the ways in which bytes can arrive.
func readers(s string) []*bufio.Reader {
	return []*bufio.Reader{
		bufio.NewReader(strings.NewReader(s)),
		bufio.NewReaderSize(strings.NewReader(s), 16),
		bufio.NewReader(iotest.OneByteReader(strings.NewReader(s))),
		bufio.NewReaderSize(iotest.HalfReader(strings.NewReader(s)), 64),
	}
}

func TestDataReader(t *testing.T) {
	tests := []struct {
		name, in, want string
		faults         Faults
		err            error
		after          string
	}{
		{"plain", "a\r\nb\r\n.\r\nQUIT\r\n", "a\r\nb\r\n", 0, nil, "QUIT\r\n"},
		{"empty", ".\r\nQUIT\r\n", "", 0, nil, "QUIT\r\n"},
		{"stuffed", "..a\r\n...\r\n..\r\n.b\r\n.\r\n", ".a\r\n..\r\n.\r\nb\r\n", 0, nil, ""},
		{"dots inside", "a.b\r\nc.\r\n.\r\n", "a.b\r\nc.\r\n", 0, nil, ""},
		{"LF.LF", "a\n.\nMAIL\r\n.\r\n", "a\n.\nMAIL\r\n", FaultBareLF, nil, ""},
		{"LF.CRLF", "a\n.\r\nMAIL\r\n.\r\n", "a\n.\r\nMAIL\r\n", FaultBareLF, nil, ""},
		{"CRLF.LF", "a\r\n.\nMAIL\r\n.\r\n", "a\r\n\nMAIL\r\n", FaultBareLF, nil, ""},
		{"CRLF.CR", "a\r\n.\rMAIL\r\n.\r\n", "a\r\n\rMAIL\r\n", FaultBareCR, nil, ""},
		{"CR.CR", "a\r.\rMAIL\r\n.\r\n", "a\r.\rMAIL\r\n", FaultBareCR, nil, ""},
		{"CR.CRLF", "a\r.\r\nMAIL\r\n.\r\n", "a\r.\r\nMAIL\r\n", FaultBareCR, nil, ""},
		{"CRCRLF.CRLF", "a\r\r\n.\r\nQUIT", "a\r\r\n", FaultBareCR, nil, "QUIT"},
		{"LFCR.", "a\n\r.\r\nb\r\n.\r\n", "a\n\r.\r\nb\r\n", FaultBareLF | FaultBareCR, nil, ""},
		{"CRLF.CRCRLF", "a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", FaultBareCR, nil, ""},
		{"CRLF.NUL", "a\r\n.\x00\r\n.\r\n", "a\r\n\x00\r\n", FaultNUL, nil, ""},
		{"first LF", "\n.\r\n\r\n.\r\n", "\n.\r\n\r\n", FaultBareLF, nil, ""},
		{"long", strings.Repeat("x", 101) + "\r\n.\r\n", strings.Repeat("x", 101) + "\r\n", FaultLongLine, nil, ""},
		{"not long", strings.Repeat("x", 100) + "\r\n.\r\n", strings.Repeat("x", 100) + "\r\n", 0, nil, ""},
		{"cut", "a\r\n.\r", "a\r\n", 0, io.ErrUnexpectedEOF, ""},
		{"cut early", "a\r\nb", "a\r\nb", 0, io.ErrUnexpectedEOF, ""},
	}
	for _, tt := range tests {
		for i, r := range readers(tt.in) {
			d := NewDataReader(r, 100)
			got, err := io.ReadAll(d)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%s/%d: %q, %v; want %q, %v", tt.name, i, got, err, tt.want, tt.err)
			}
			if err == nil && d.Faults() != tt.faults {
				t.Errorf("%s/%d: faults %v, want %v", tt.name, i, d.Faults(), tt.faults)
			}
			if d.Size() != int64(len(tt.want)) {
				t.Errorf("%s/%d: size %d", tt.name, i, d.Size())
			}
			if after, _ := io.ReadAll(r); err == nil && string(after) != tt.after {
				t.Errorf("%s/%d: left %q, want %q", tt.name, i, after, tt.after)
			}
		}
	}
}

func TestLineCheck(t *testing.T) {
	for in, want := range map[string]Faults{
		"a\r\n.\r\nb": 0, "a\n": FaultBareLF, "a\rb": FaultBareCR, "a\r": FaultBareCR, "\x00": FaultNUL,
		"0123456789": 0, "0123456789\r\n": 0, "01234567890": 0, "01234567890\r\n": FaultLongLine, "": 0,
	} {
		for step := 1; step <= len(in)+1; step++ {
			c := LineCheck{MaxLine: 10}
			for s := in; s != ""; s = s[min(step, len(s)):] {
				c.Check([]byte(s[:min(step, len(s))]))
			}
			if got := c.Finish(); got != want {
				t.Errorf("%q by %d: %v, want %v", in, step, got, want)
			}
		}
	}
}

func TestDataWriter(t *testing.T) {
	for in, want := range map[string]string{
		"":               ".\r\n",
		"a\r\n":          "a\r\n.\r\n",
		"a":              "a\r\n.\r\n",
		".\r\n..a\r\n":   "..\r\n...a\r\n.\r\n",
		"a\n.\nb\n":      "a\r\n..\r\nb\r\n.\r\n",
		"a\r.\rb\r\n":    "a . b\r\n.\r\n",
		"a\r\r\n.":       "a \r\n..\r\n.\r\n",
		"\r":             "\r\n.\r\n",
		"\r.\r\n":        " .\r\n.\r\n",
		"a\r\n\r\n.b.\n": "a\r\n\r\n..b.\r\n.\r\n",
	} {
		for step := 1; step <= len(in)+1; step++ {
			var out bytes.Buffer
			d := NewDataWriter(bufio.NewWriter(&out))
			for s := in; s != ""; s = s[min(step, len(s)):] {
				if n, err := d.Write([]byte(s[:min(step, len(s))])); err != nil || n != min(step, len(s)) {
					t.Fatal(n, err)
				}
			}
			if err := d.Close(); err != nil || out.String() != want {
				t.Errorf("%q by %d: %q, %v; want %q", in, step, out.String(), err, want)
			}
		}
	}
}

func TestDataWriterError(t *testing.T) {
	d := NewDataWriter(bufio.NewWriterSize(failingWriter{}, 16))
	var err error
	for range 3 {
		_, err = d.Write([]byte("0123456789\r\n"))
	}
	if err == nil || d.Close() == nil {
		t.Error("a write error was lost")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func BenchmarkDataReader(b *testing.B) {
	msg := strings.Repeat(strings.Repeat("x", 74)+"\r\n", 1<<14) + ".\r\n"
	b.SetBytes(int64(len(msg)))
	r := bufio.NewReaderSize(nil, 64<<10)
	for b.Loop() {
		r.Reset(strings.NewReader(msg))
		d := NewDataReader(r, 1<<20)
		for {
			if _, err := d.Next(); err != nil {
				break
			}
		}
	}
}
