package message

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bombs are messages made to cost time or memory.
func bombs() map[string][]byte {
	const size = 1 << 20
	fill := func(head, unit string) []byte {
		return []byte(head + strings.Repeat(unit, max(1, (size-len(head))/len(unit))))
	}
	var nestedMultipart, manyBoundaries strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&nestedMultipart, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for i := range 100 {
		fmt.Fprintf(&manyBoundaries, "Content-Type: multipart/mixed; boundary=%s%d\r\n\r\n--%s%d\r\n", strings.Repeat("x", 900), i, strings.Repeat("x", 900), i)
	}
	return map[string][]byte{
		"nested messages":     fill("", "Content-Type: message/rfc822\r\n\r\n"),
		"nested multiparts":   []byte(nestedMultipart.String()),
		"parts":               fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n"),
		"digest":              fill("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\n\r\n"),
		"parts with headers":  fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\nContent-Type: a/b; "+strings.Repeat("c=d; ", 20)+"\r\nContent-ID: <x>\r\n\r\n"),
		"close delimiters":    fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b--\r\n"),
		"near delimiters":     fill(manyBoundaries.String(), "--"+strings.Repeat("x", 899)+"\r\n"),
		"dash lines":          fill(manyBoundaries.String(), "--\r\n"),
		"dashes":              fill("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n", "\n--"),
		"header fields":       fill("", "To: a@b\r\n"),
		"header without end":  fill("Subject: ", "x"),
		"folds":               fill("Subject: x", "\r\n x"),
		"addresses":           fill("To: ", "a@b, "),
		"groups":              fill("To: ", "a:;"),
		"comments":            fill("To: ", "("),
		"comment pairs":       fill("To: x", "()"),
		"quotes":              fill("To: ", "\""),
		"angles":              fill("To: ", "<"),
		"words in an address": fill("To: ", "a "),
		"at signs":            fill("To: ", "@"),
		"at and angle":        fill("To: ", "a@b <"),
		"encoded words":       fill("Subject: ", "=?utf-8?q?a?= "),
		"open words":          fill("Subject: ", "=?utf-8?q?"),
		"question marks":      fill("Subject: ", "=?"),
		"parameters":          fill("Content-Type: a/b", "; a=b"),
		"other parameters":    fill("Content-Type: a/b", ";"),
		"parameter segments":  fill("Content-Type: a/b", "; a*0*=b; a*1=c"),
		"parameter equals":    fill("Content-Type: a/b; a=", "b c "),
		"references":          fill("References: ", "<a@b> "),
		"open references":     fill("References: ", "<a@b "),
		"replies":             fill("Subject: ", "Re: "),
		"blobs":               fill("Subject: ", "[a] "),
		"forwards":            fill("Subject: ", "[fwd: "),
		"languages":           fill("Content-Language: ", "a,"),
		"dates":               fill("Date: ", "1 Jan "),
		"html":                fill("Content-Type: text/html\r\n\r\n", "<p><"),
		"html entities":       fill("Content-Type: text/html\r\n\r\n", "&amp;&"),
		"html comments":       fill("Content-Type: text/html\r\n\r\n", "<!--"),
		"blank lines":         fill("", "\r\n"),
		"white space":         fill("\r\n", " \t"),
		"soft line breaks":    fill("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=\r\n"),
		"equals signs":        fill("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "= "),
		"bad base64":          fill("Content-Transfer-Encoding: base64\r\n\r\n", "=!"),
		"utf-7":               fill("Content-Type: text/plain; charset=utf-7\r\n\r\n", "+A"),
	}
}

// TestBombs: a message costs time and memory in proportion to its length, and
// what is kept of it is bounded. The bounds are wide: they tell linear from
// quadratic, on a busy machine too.
func TestBombs(t *testing.T) {
	for name, raw := range bombs() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			m := Parse(raw)
			out := m.AppendEnvelope(nil)
			out = m.AppendBodyStructure(out)
			out = m.AppendTable(out)
			BaseSubject(m.Subject())
			m.References()
			m.InReplyTo()
			m.Date()
			n := len(m.Header.Addresses("To"))
			for i := range m.Parts[:min(100, len(m.Parts))] {
				m.Path(i)
				m.Parts[i].Filename()
			}
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if took > 1600*time.Millisecond {
				t.Errorf("took %v for %d bytes", took, len(raw))
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64*len(raw)) {
				t.Errorf("allocated %d bytes for %d", got, len(raw))
			}
			if len(m.Parts) > defaultParts || n > defaultAddresses || len(out) > 8<<20 {
				t.Errorf("%d parts, %d addresses, %d bytes out", len(m.Parts), n, len(out))
			}
			checkOutput(t, m)
			if took > 50*time.Millisecond {
				t.Logf("%v, %d parts, %d bytes out", took, len(m.Parts), len(out))
			}
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for range 200 {
		fmt.Fprintf(&b, "--b\r\nContent-Type: text/html; name=%s\r\nContent-Description: %s\r\n\r\n<p>\r\n", strings.Repeat("n", 1000), strings.Repeat("d", 1000))
	}
	p := NewParser(Limits{Memory: 100_000})
	p.Write([]byte(b.String()))
	m := p.Close()
	if n := len(m.AppendTable(nil)); n > 110_000+200*20 || len(m.Parts) != 201 {
		t.Errorf("%d bytes kept of %d parts", n, len(m.Parts))
	}
	if last := m.Parts[200]; last.Type != "text" || last.Subtype != "html" || last.Description != "" || m.Parts[1].Description == "" {
		t.Errorf("last part %+v", last)
	}
}

func TestLimitsAreOff(t *testing.T) {
	l := Limits{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}.withDefaults()
	if l.Depth != maxDepth || l.Parts != noLimit || l.HeaderBytes != noLimit {
		t.Errorf("%+v", l)
	}
	raw := bytes.Repeat([]byte("Content-Type: message/rfc822\r\n\r\n"), 300)
	p := NewParser(Limits{Depth: -1})
	p.Write(raw)
	if m := p.Close(); len(m.Parts) != 301 {
		t.Errorf("%d parts", len(m.Parts))
	}
}

func TestShift(t *testing.T) {
	const prefix = "Return-Path: <a@b>\r\nReceived: from x\r\n\tby y\r\n"
	raw := crlf(nested)
	m, want := Parse(raw), Parse(append([]byte(prefix), raw...))
	m.Shift(int64(len(prefix)))
	if !bytes.Equal(m.AppendTable(nil), want.AppendTable(nil)) || m.Size != want.Size {
		t.Errorf("got %+v\nwant %+v", m.Parts, want.Parts)
	}
	m.Shift(-int64(len(prefix)))
	if !bytes.Equal(m.AppendTable(nil), Parse(raw).AppendTable(nil)) {
		t.Error("shifting back gives another message")
	}
}

func TestRangeCut(t *testing.T) {
	r := Range{10, 20}
	for _, tt := range []struct{ first, count, start, end int64 }{
		{0, 100, 10, 20}, {3, 4, 13, 17}, {9, 9, 19, 20}, {10, 1, 20, 20}, {1 << 62, 1 << 62, 20, 20}, {0, 0, 10, 10}, {-1, -1, 10, 10},
	} {
		if got := r.Cut(tt.first, tt.count); got != (Range{tt.start, tt.end}) {
			t.Errorf("<%d.%d> = %v", tt.first, tt.count, got)
		}
	}
}

func TestTableRefusesNonsense(t *testing.T) {
	good := Parse(crlf(nested)).AppendTable(nil)
	for n := range good {
		if _, err := ParseTable(good[:n]); err == nil {
			t.Errorf("a table cut at %d was taken", n)
		}
	}
	if _, err := ParseTable(append(bytes.Clone(good), 0)); err == nil {
		t.Error("trailing bytes were taken")
	}
	other := bytes.Clone(good)
	other[0] = 99
	if _, err := ParseTable(other); err == nil {
		t.Error("another version was taken")
	}
}
