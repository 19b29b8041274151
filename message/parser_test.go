package message

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// crlf turns the line ends of a test text into CRLF.
func crlf(s string) []byte {
	return []byte(strings.ReplaceAll(s, "\n", "\r\n"))
}

// parseChunks parses b in chunks of random size.
func parseChunks(b []byte, r *rand.Rand, l Limits) *Message {
	p := NewParser(l)
	for len(b) > 0 {
		n := 1 + r.IntN(min(len(b), 1+r.IntN(40)))
		chunk := bytes.Clone(b[:n])
		p.Write(chunk)
		for i := range chunk { // the parser must not keep it
			chunk[i] = 'X'
		}
		b = b[n:]
	}
	return p.Close()
}

func TestSectionNesting(t *testing.T) {
	raw := crlf(nested)
	m := Parse(raw)
	sect := func(spec Spec, path ...int) string {
		r, ok := m.Section(path, spec)
		if !ok {
			return "NIL"
		}
		return string(raw[r.Start:r.End])
	}
	for _, tt := range []struct {
		path []int
		spec Spec
		want string
	}{
		{[]int{1}, SpecAll, "one"},
		{[]int{1}, SpecMIME, "Content-Type: text/plain\r\n\r\n"},
		{[]int{1, 1}, SpecAll, "NIL"},
		{[]int{1}, SpecHeader, "NIL"},
		{[]int{2}, SpecAll, "two"},
		{[]int{3}, SpecHeader, "Subject: inner\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n"},
		{[]int{3, 1}, SpecAll, "three one\r\n"},
		{[]int{3, 2}, SpecAll, "three two"},
		{[]int{3, 2}, SpecMIME, "\r\n"},
		{[]int{3, 3}, SpecAll, "NIL"},
		{[]int{4, 1}, SpecAll, "x"},
		{[]int{4, 2, 1}, SpecAll, "deep"},
		{[]int{4, 2}, SpecHeader, "Subject: single\r\n\r\n"},
		{[]int{4, 2}, SpecText, "deep"},
		{[]int{4, 2, 1}, SpecMIME, "Subject: single\r\n\r\n"},
		{[]int{0}, SpecAll, "NIL"},
		{[]int{5}, SpecAll, "NIL"},
		{nil, SpecMIME, "NIL"},
		{nil, SpecAll, string(raw)},
	} {
		got := sect(tt.spec, tt.path...)
		if got != tt.want {
			t.Errorf("section %v %v = %q, want %q", tt.path, tt.spec, got, tt.want)
		}
	}
	for i := range m.Parts {
		if j, ok := m.PartAt(m.Path(i)); !ok || (j != i && !m.Parts[i].IsMultipart()) {
			t.Errorf("PartAt(Path(%d)) = %d, %v; path %v", i, j, ok, m.Path(i))
		}
	}
}

const nested = `From: a@b.example
Content-Type: multipart/mixed; boundary="out"

preamble
--out
Content-Type: text/plain

one
--out

two
--out
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/mixed; boundary=in

--in
Content-Type: text/html

three one

--in

three two
--in--
epilogue
--out
Content-Type: multipart/digest; boundary=dig

--dig
Content-Type: text/plain

x
--dig

Subject: single

deep
--dig--

--out--
`

func TestRFC3501Structure(t *testing.T) {
	// The example of RFC 3501 §7.4.2, with bodies of the given sizes.
	raw := crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n" +
		"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\n" + strings.Repeat("x\n", 22) + "\n--b\n" +
		"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"\nContent-ID: <960723163407.20117h@cac.washington.edu>\n" +
		"Content-Description: Compiler diff\nContent-Transfer-Encoding: BASE64\n\n" + strings.Repeat("abcd\n", 72) + "\n--b--\n")
	m := Parse(raw)
	want := `(("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 66 22)` +
		`("text" "plain" ("charset" "US-ASCII" "name" "cc.diff") "<960723163407.20117h@cac.washington.edu>" "Compiler diff" "base64" 432 72) "mixed")`
	if got := string(m.AppendBody(nil)); got != want {
		t.Errorf("BODY\n got %s\nwant %s", got, want)
	}
}

func TestChunkIndependence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i, raw := range [][]byte{crlf(nested), []byte(nested), []byte("\r\n--\n-"), nil} {
		want := Parse(raw)
		for range 300 {
			if got := parseChunks(raw, r, Limits{}); !reflect.DeepEqual(got, want) {
				t.Fatalf("%d: chunks differ:\n got %+v\nwant %+v", i, got, want)
			}
		}
	}
}

func TestCutOff(t *testing.T) {
	raw := crlf(nested)
	for n := range raw {
		m := Parse(raw[:n])
		checkMessage(t, m, raw[:n])
	}
	for _, tt := range []struct{ in, want string }{
		{"--b\r\n\r\nx\r\n--b", `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) "mixed")`},
		{"--b\r\n\r\nx\r\n--b\r\n", `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) "mixed")`},
		{"--b\r\n\r\nx\r\n--b\r\n\r\n", `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")`},
		{"--b", `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")`},
		{"", `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")`},
	} {
		m := Parse([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + tt.in))
		if got := string(m.AppendBody(nil)); got != tt.want {
			t.Errorf("%q\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestDeepNestingIsLinear(t *testing.T) {
	raw := []byte(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 50_000))
	m := Parse(raw)
	if len(m.Parts) != defaultDepth+1 {
		t.Errorf("%d parts", len(m.Parts))
	}
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for i := range 100_000 {
		fmt.Fprintf(&b, "--b\r\n\r\n%d\r\n", i)
	}
	if m = Parse([]byte(b.String())); len(m.Parts) != defaultParts {
		t.Errorf("%d parts", len(m.Parts))
	}
}
