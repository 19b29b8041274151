package message

import (
	"bytes"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzSeeds are small messages that reach every state of the parser.
var fuzzSeeds = []string{"", "\r\n", "a", "\n", "--", "-", nested, strings.ReplaceAll(nested, "\n", "\r\n"),
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\nno blank\n--b\nContent-Type: message/rfc822\n--b--\n--b",
	"Content-Type: multipart/digest; boundary=b\n\n--b\n--b\n\n--b\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n--b",
	"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: x",
	"From: a@b, g: c@d;, \"q\" <@r:e@f> (c)\nTo: <>\nCc: x y <@>\nSubject: =?utf-8?q?a?= =?x?b?YQ==?=\n fold\nDate: Mon, 1 Jan 24 00:00 EST\n\n",
	"Content-Type: text/html; charset=utf-7; a*0*=x'y'%41; a*1=b\nContent-Transfer-Encoding: base64\nContent-Disposition: inline; filename*=utf-8''%e2%82%ac\nContent-Language: a, b\nContent-ID: <x>\n\nPHA+aGk8L3A+",
	"Content-Type: text/html\n\n<style>x</style><p>A &amp; <b>b</b><!-- c --> &nbsp;&#x41;<br/>d<script>\"</script>e</pre>",
	"From : x\nno colon\n cont\n: empty\nSubject:\x00\xff\n\n\x00",
}

// smallLimits reach every limit with short inputs.
var smallLimits = Limits{Depth: 3, Parts: 6, HeaderBytes: 300, HeaderLines: 12, FieldBytes: 80, Addresses: 3,
	Params: 3, Boundary: 10, References: 2, Memory: 200}

// FuzzParser: whatever the bytes, the result does not depend on the chunks, its
// offsets fit together, what it writes for IMAP is grammatical, and its table
// gives it back.
func FuzzParser(f *testing.F) {
	for i, s := range fuzzSeeds {
		f.Add([]byte(s), uint64(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64, small bool) {
		l := Limits{}
		if small {
			l = smallLimits
		}
		p := NewParser(l)
		p.Write(raw)
		m := p.Close()
		if got := parseChunks(raw, rand.New(rand.NewPCG(seed, 1)), l); !reflect.DeepEqual(got, m) {
			t.Fatalf("chunks matter:\n%+v\n%+v", got, m)
		}
		checkMessage(t, m, raw)
	})
}

// checkMessage checks everything that holds for any message.
func checkMessage(t *testing.T, m *Message, raw []byte) {
	t.Helper()
	if m.Size != int64(len(raw)) {
		t.Fatalf("size %d of %d", m.Size, len(raw))
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.HeaderStart < 0 || p.BodyStart < p.HeaderStart || p.BodyEnd < p.BodyStart || p.BodyEnd > m.Size {
			t.Fatalf("part %d lies at %d %d %d", i, p.HeaderStart, p.BodyStart, p.BodyEnd)
		}
		if n := int64(bytes.Count(raw[p.BodyStart:p.BodyEnd], newline)); p.Lines != n {
			t.Fatalf("part %d has %d lines, not %d", i, n, p.Lines)
		}
		if p.Parent >= 0 {
			if up := &m.Parts[p.Parent]; p.HeaderStart < up.BodyStart || p.BodyEnd > up.BodyEnd {
				t.Fatalf("part %d [%d,%d) sticks out of its parent [%d,%d)", i, p.HeaderStart, p.BodyEnd, up.BodyStart, up.BodyEnd)
			}
		}
		if j, ok := m.PartAt(m.Path(i)); !ok || j != i && !m.Parts[i].IsMultipart() {
			t.Fatalf("PartAt(%v) = %d, %v; want %d", m.Path(i), j, ok, i)
		}
	}
	checkOutput(t, m)
	if s := m.Preview(); !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxPreview || strings.ContainsAny(s, "\r\n\x00") {
		t.Fatalf("bad preview %q", s)
	}
	if s := m.Subject(); !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
		t.Fatalf("bad subject %q", s)
	}
	BaseSubject(m.Subject())
	m.Date()
	m.References()
	m.HasAttachment()
	for i := range m.Parts {
		p := &m.Parts[i]
		text, err := io.ReadAll(NewTextReader(bytes.NewReader(raw[p.BodyStart:p.BodyEnd]), p))
		if err != nil || !utf8.Valid(text) || len(text) > 64+4*len(raw) {
			t.Fatalf("text of part %d: %v %q", i, err, text)
		}
		if !utf8.ValidString(p.Filename()) {
			t.Fatalf("file name %q", p.Filename())
		}
	}
}

// checkOutput checks what m writes for IMAP and for the store.
func checkOutput(t *testing.T, m *Message) {
	t.Helper()
	v, err := readIMAP(string(m.AppendEnvelope(nil)))
	if err == nil {
		err = checkEnvelope(v)
	}
	if err != nil {
		t.Fatalf("ENVELOPE %q: %v", m.AppendEnvelope(nil), err)
	}
	for _, ext := range []bool{false, true} {
		s := string(m.appendStructure(nil, 0, ext))
		if v, err = readIMAP(s); err == nil {
			err = checkBody(v, ext)
		}
		if err != nil {
			t.Fatalf("structure %q: %v", s, err)
		}
	}
	table := m.AppendTable(nil)
	back, err := ParseTable(table)
	if err != nil {
		t.Fatalf("table: %v", err)
	}
	if !bytes.Equal(back.AppendBodyStructure(nil), m.AppendBodyStructure(nil)) || !bytes.Equal(back.AppendTable(nil), table) {
		t.Fatalf("table gives another message:\n%s\n%s", back.AppendBodyStructure(nil), m.AppendBodyStructure(nil))
	}
}

// FuzzTable: a table that was damaged is refused or gives a message that can be
// used.
func FuzzTable(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(Parse([]byte(s)).AppendTable(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseTable(b)
		if err != nil {
			return
		}
		for i := range m.Parts {
			m.PartAt(m.Path(i))
			m.Parts[i].Filename()
		}
		m.Section([]int{1, 1}, SpecText)
		if header, body, err := TableTop(b); err == nil {
			h, _ := m.Section(nil, SpecHeader)
			if text, _ := m.Section(nil, SpecText); h != header || text != body {
				t.Fatalf("top %v %v, sections %v %v", header, body, h, text)
			}
		}
		if again, err := ParseTable(m.AppendTable(nil)); err != nil || !bytes.Equal(again.AppendTable(nil), m.AppendTable(nil)) {
			t.Fatalf("not stable: %v\n%+v\n%+v", err, m, again)
		}
		if len(m.AppendBodyStructure(nil)) > 64*len(b)+4096 {
			t.Fatal("amplification")
		}
	})
}

// FuzzHeader: the functions on header values yield one line of valid UTF-8, and
// adding a prefix in front of a message is a Shift.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{"", "a@b", "=?utf-8?q?=C3=A9?= =?utf-8?b?w6k=?=", "<a@b> (c) <\"d\"@e>", "Mon, 1 Jan 2024 00:00:00 +0000",
		"text/plain; a*0*=u'x'%41; a*1=\"b\"; c", "Re: [x] Fwd: y (fwd)", "\"a\\\"b\" <c@[1.2.3.4]>, g:;", "\xff\x00="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		s := DecodeHeader(v)
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
			t.Fatalf("DecodeHeader(%q) = %q", v, s)
		}
		BaseSubject(s)
		ParseDate(v)
		AppendMessageIDs(nil, v, 10)
		for _, a := range ParseAddresses(v, 20) {
			if !utf8.ValidString(a.Name) {
				t.Fatalf("name %q", a.Name)
			}
		}
		parseMediaType(v, Limits{}.withDefaults())
		prefix := "Received: from x\r\n"
		whole, m := Parse(append([]byte(prefix), v...)), Parse(v)
		m.Shift(int64(len(prefix)))
		if !bytes.Equal(whole.AppendTable(nil), m.AppendTable(nil)) && len(v) > 0 && !isWSP(v[0]) {
			t.Fatalf("Shift:\n%+v\n%+v", m.Parts, whole.Parts)
		}
	})
}

// FuzzDecode: decoders give the same bytes for any chunks, and no more of them
// than there were.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "YWJj\r\nZGVm", "YQ==YQ==", "a=3Db=\r\nc  \r\n=", "=", "=4", "= \t\r\n", "+AGE-+", "<p>a&amp;b</p>"} {
		f.Add([]byte(s), uint8(1))
	}
	encodings, charsets := []string{"7bit", "base64", "quoted-printable"}, []string{"", "utf-8", "us-ascii", "iso-8859-1", "utf-7", "gb18030", "iso-2022-jp", "utf-16", "big5", "x"}
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		for _, e := range encodings {
			whole, _ := NewDecoder(bytes.NewReader(b), e)
			pieces, _ := NewDecoder(&chunkReader{b, int(n%7) + 1}, e)
			got, _ := io.ReadAll(whole)
			if again, _ := io.ReadAll(pieces); !bytes.Equal(got, again) || len(got) > len(b) {
				t.Fatalf("%s: %q or %q from %q", e, got, again, b)
			}
		}
		charset := charsets[int(n)%len(charsets)]
		for _, html := range []bool{false, true} {
			got, err := io.ReadAll(testReader(bytes.NewReader(b), "8bit", charset, html))
			again, _ := io.ReadAll(testReader(&chunkReader{b, int(n%7) + 1}, "8bit", charset, html))
			if err != nil || !utf8.Valid(got) || !bytes.Equal(got, again) {
				t.Fatalf("charset %s html %v: %v %q or %q", charset, html, err, got, again)
			}
		}
	})
}

// A chunkReader gives n bytes at a time.
type chunkReader struct {
	b []byte
	n int
}

func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.b)
	r.b = r.b[n:]
	return n, nil
}
