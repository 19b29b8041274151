package message

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"testing"
)

func TestFieldWords(t *testing.T) {
	names := map[string]bool{}
	for _, w := range fieldWords {
		names[strings.ToLower(w)] = true
	}
	if n := bits.OnesCount64(wordsUpTo[len(fieldWords)]); n != len(names) || n > 64 {
		t.Errorf("%d bits for %d names: spellings of a name stand side by side, and there are at most 64 names", n, len(names))
	}
	for i, w := range fieldWords {
		if slices.Contains(fieldWords[:i], w) {
			t.Errorf("%s twice", w)
		}
	}
}

// What is kept of a header section gives the same bytes back as the section itself.
func TestFieldsKept(t *testing.T) {
	header := "Received: from x\r\n\tby y\r\nDATE: Mon, 1 Jan 2024 10:00:00 +0000\r\nFrom: Ada <ada@demo.test>,\r\n Ben <ben@demo.test>\r\n" +
		"Subject: the budget of next year\r\nsubject : again\r\nMessage-Id: <12345678@demo.test>\r\nX-None: no\r\nTo:nobody\nReferences:\r\n <a@b>\r\n\t<c@d>\r\nDate: x\r\n\r\n"
	m := parsed(header)
	envelope := m.AppendEnvelope(nil)
	kept := AppendFields(nil, []byte(header), envelope)
	if len(kept) >= len(header)*2/3 {
		t.Errorf("%d bytes kept of %d", len(kept), len(header))
	}
	if !FieldsFit(kept, []byte(header), envelope) || FieldsFit(kept, []byte(header[:len(header)-9]), envelope) {
		t.Error("what is kept does not fit")
	}
	for _, prefix := range []string{"", "Return-Path: <>\r\nReceived: by z;\r\n now\r\n"} {
		for _, names := range [][]string{{"date"}, {"FROM", "To"}, {"Subject", "MESSAGE-ID", "References"}, {"List-Id"}, {"Return-Path", "date", "Cc"}} {
			sel, ok := SelectFields(names)
			if !ok {
				t.Fatal(names)
			}
			want := AppendHeaderFields(nil, []byte(prefix+header), names, false)
			if got, ok := sel.Append(nil, []byte(prefix), kept, envelope); !ok || !bytes.Equal(got, want) {
				t.Errorf("%q %v: %q, want %q", prefix, names, got, want)
			}
		}
	}
	if _, ok := SelectFields([]string{"Date", "Received"}); ok {
		t.Error("Received is kept")
	}
	if got := AppendFields(nil, []byte(" x\r\nDate: y\r\n"), nil); got != nil {
		t.Errorf("%q", got)
	}
}

// What is too long is said to be missing; what fits is there.
func TestFieldsTooLong(t *testing.T) {
	header := "To: " + strings.Repeat("somebody@demo.test, ", 100) + "x@demo.test\r\nCc: short@demo.test\r\n\r\n"
	kept := AppendFields(nil, []byte(header), nil)
	if len(kept) > fieldBytes+16 {
		t.Errorf("%d bytes", len(kept))
	}
	to, _ := SelectFields([]string{"To", "Cc"})
	if got, ok := to.Append([]byte("x"), nil, kept, nil); ok || string(got) != "x" {
		t.Errorf("%q %v", got, ok)
	}
	cc, _ := SelectFields([]string{"Cc"})
	if got, ok := cc.Append(nil, nil, kept, nil); !ok || string(got) != "Cc: short@demo.test\r\n\r\n" {
		t.Errorf("%q %v", got, ok)
	}
}

// FuzzFields: whatever the section, what is kept of it answers as the section does, or
// says that it cannot; whatever is kept, it is read without harm.
func FuzzFields(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s), []byte("Return-Path: <>\r\n"), []byte(`("Mon, 1 Jan 24 00:00 EST" "=?utf-8?q?a?=")`))
	}
	f.Add(AppendFields(nil, []byte("Date: Mon, 1 Jan 2024\r\nTo: a\r\nsubject: x"), []byte("(Mon, 1 Jan 2024)")), []byte{}, []byte("(Mon, 1 Jan 2024)"))
	f.Add([]byte{75, 0, 2, 250, 2, 4}, []byte{}, []byte("x"))
	f.Fuzz(func(t *testing.T, header, prefix, envelope []byte) {
		kept := AppendFields(nil, header, envelope)
		for _, names := range [][]string{{"Date", "Subject"}, {"from", "TO", "cc", "Message-ID", "in-reply-to"}, {"Content-Type"}} {
			sel, _ := SelectFields(names)
			sel.Append(nil, prefix, header, envelope)
			got, ok := sel.Append(nil, nil, kept, envelope)
			if want := AppendHeaderFields(nil, header, names, false); ok && !bytes.Equal(got, want) {
				t.Fatalf("%v: %q, want %q", names, got, want)
			} else if !ok && len(header) < fieldBytes/2 && (len(header) == 0 || !isWSP(header[0])) {
				t.Fatalf("%v are not kept of %q", names, header)
			}
		}
	})
}

func BenchmarkFields(b *testing.B) {
	header := []byte("Received: from mx.example.org\r\n\tby mail.demo.test\r\nFrom: Ada Lovelace <ada@demo.test>\r\nTo: Ben <ben@demo.test>\r\nSubject: the budget of next year\r\n" +
		"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <12345678@demo.test>\r\nIn-Reply-To: <1234567@demo.test>\r\nReferences: <1234567@demo.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	m := parsed(string(header))
	envelope := m.AppendEnvelope(nil)
	b.Run("keep", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = AppendFields(dst[:0], header, envelope)
		}
		b.ReportMetric(float64(len(dst)), "bytes")
	})
	b.Run("give", func(b *testing.B) {
		kept := AppendFields(nil, header, envelope)
		sel, _ := SelectFields([]string{"FROM", "TO", "SUBJECT", "DATE", "MESSAGE-ID"})
		var dst []byte
		for b.Loop() {
			dst, _ = sel.Append(dst[:0], nil, kept, envelope)
		}
	})
}

func parsed(s string) *Message {
	p := NewParser(Limits{})
	p.Write([]byte(s))
	return p.Close()
}
