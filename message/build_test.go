package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"posthouse/mail"
)

// zeros is a reader of zeros: no randomness.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBuildRoundTrip(t *testing.T) {
	subjects := []string{"plain", "Grüße aus Köln", strings.Repeat("lang und länger ", 30), "日本語の件名がここにあります、とても長いので折り返します", "=?utf-8?q?not_a_word?=",
		"two  spaces", " ", "tab\there", strings.Repeat("x", 2000), "🎂" + strings.Repeat("👩🏽‍💻", 40), "a\r\nBcc: injected@x", ""}
	for _, s := range subjects {
		raw := Text("plain", "x\n").Set("Subject", s).Append(nil)
		checkLines(t, raw)
		want := strings.Trim(strings.NewReplacer("\r", " ", "\n", " ").Replace(s), " ")
		if m := Parse(raw); m.Subject() != want || m.Header.Has("Bcc") {
			t.Errorf("subject %q came back as %q\n%s", want, m.Subject(), raw)
		}
	}
	texts := []string{"", "one\n", "no line end", "Grüße\n\nauf zwei Zeilen\n", strings.Repeat("long ", 400), strings.Repeat("日本語", 400), "From here\n.\n..\n From\n", "trail \t\n=3D\n\x01\n"}
	for _, s := range texts {
		raw := Text("plain", s).Append(nil)
		checkLines(t, raw)
		m := Parse(raw)
		p := &m.Parts[0]
		got, _ := io.ReadAll(NewTextReader(bytes.NewReader(raw[p.BodyStart:p.BodyEnd]), p))
		if string(got) != toCRLF(s) {
			t.Errorf("%s text %.60q came back as %.60q", p.Encoding, s, got)
		}
	}
}

// checkLines checks that raw could go through any mail server.
func checkLines(t *testing.T, raw []byte) {
	t.Helper()
	for line := range bytes.Lines(raw) {
		if len(line) > 1000 || bytes.ContainsAny(bytes.TrimSuffix(line, []byte("\r\n")), "\r\n\x00") || !isASCII(line) {
			t.Errorf("line %.100q", line)
		}
	}
}

func TestBuildAddresses(t *testing.T) {
	list := []Mailbox{
		{"", mail.Address{Local: "a", Domain: "b.example"}, false},
		{"John Q. Public", mail.Address{Local: "jqp", Domain: "x.example"}, false},
		{"Doe, \"J\" \\", mail.Address{Local: "odd local", Domain: "x.example"}, false},
		{"Jörg Groß", mail.Address{Local: "j", Domain: "x.example"}, false},
		{"Team", mail.Address{}, true},
		{"O'Neil", mail.Address{Local: "o", Domain: "x.example"}, false},
		{"Empty", mail.Address{}, true},
	}
	for range 20 {
		list = append(list, Mailbox{"田中 芽衣", mail.Address{Local: "mei", Domain: "tanaka.example"}, false})
	}
	raw := Text("plain", "").SetAddresses("To", list...).Append(nil)
	checkLines(t, raw)
	for line := range bytes.Lines(raw) {
		if len(line) > 80 {
			t.Errorf("line %q was not folded", line)
		}
	}
	m := Parse(raw)
	got := m.Header.Addresses("to")
	if len(got) != len(list) {
		t.Fatalf("%d addresses of %d:\n%s", len(got), len(list), raw)
	}
	for i := range got {
		if got[i] != list[i] {
			t.Errorf("%d: %+v, want %+v", i, got[i], list[i])
		}
	}
}

func TestBuildMultipart(t *testing.T) {
	boundary, err := NewBoundary(zeros{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := NewMessageID(zeros{}, time.UnixMilli(1), "demo.test")
	if err != nil || id != "<1.00000000000000000000@demo.test>" {
		t.Fatal(id, err)
	}
	name := "Übersicht – " + strings.Repeat("sehr ", 20) + "lang.pdf"
	raw := Multipart("report", boundary, []*Entity{
		Text("plain", "Grüße\n"), Attachment("application/pdf", name, bytes.Repeat([]byte("x"), 1000)),
		Attachment("application/pdf", `quoted "name".pdf`, nil), Inline("image/png", "c1@x", []byte("png")),
		Raw("message/rfc822", "", []byte("Subject: inner\r\n\r\nbody\r\n")),
	}, Param{"report-type", "delivery-status"}).SetRaw("Message-ID", id).SetDate("Date", time.Unix(0, 0).UTC()).Append(nil)
	checkLines(t, raw)
	m := Parse(raw)
	if len(m.Parts) != 7 || m.MessageID() != strings.Trim(id, "<>") || m.Parts[0].Param("report-type") != "delivery-status" {
		t.Fatalf("%+v", m.Parts)
	}
	if got := m.Parts[2].Filename(); got != name {
		t.Errorf("file name %q", got)
	}
	if got := m.Parts[3].Filename(); got != `quoted "name".pdf` {
		t.Errorf("file name %q", got)
	}
	if m.Parts[4].IsAttachment() || !m.Parts[2].IsAttachment() || !m.Parts[5].IsMessage() {
		t.Error("attachments")
	}
	if d, ok := m.Date(); !ok || d.Unix() != 0 {
		t.Error(d, ok)
	}
}

// FuzzBuild: whatever stands in a subject, a name, a file name or a text comes back
// from the message that was written, and nothing else does.
func FuzzBuild(f *testing.F) {
	f.Add("Grüße", "Jörg", "ä.txt", "text\r\n")
	f.Add("=?utf-8?q?x?=", "a\r\nBcc: b", "\"; x=y", "From x\n.\n = \t")
	f.Add(strings.Repeat("long ", 200), "", " ", strings.Repeat("é", 500))
	f.Fuzz(func(t *testing.T, subject, name, file, text string) {
		if strings.Contains(text, "\r") || len(name) > 2000 {
			return
		}
		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		raw := Multipart("mixed", "=_b", []*Entity{Text("plain", valid(text)), Attachment("a/b", file, []byte(text))}).
			Set("Subject", subject).SetAddresses("To", Mailbox{name, mail.Address{Local: name, Domain: "x.example"}, false}).
			SetRaw("X-Raw", subject).Append(nil)
		for line := range bytes.Lines(raw) {
			if !bytes.HasSuffix(line, []byte("\r\n")) || len(line) > 1000+2*len(name) || bytes.ContainsAny(line[:len(line)-2], "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		m := Parse(raw)
		if m.Header.Len() != 5 || len(m.Parts) != 3 {
			t.Fatalf("%d fields, %d parts:\n%s", m.Header.Len(), len(m.Parts), raw)
		}
		want := strings.Trim(strings.NewReplacer("\r", " ", "\n", " ", "\x00", "").Replace(valid(subject)), " ")
		if got := m.Subject(); got != want {
			t.Fatalf("subject %q, want %q\n%s", got, want, raw)
		}
		if got := m.Parts[2].Filename(); got != valid(file) && !strings.ContainsAny(file, "\r\n\x00") && !strings.Contains(file, "=?") {
			t.Fatalf("file name %q, want %q\n%s", got, file, raw)
		}
		p := &m.Parts[1]
		got, _ := io.ReadAll(NewTextReader(bytes.NewReader(raw[p.BodyStart:p.BodyEnd]), p))
		if string(got) != toCRLF(valid(text)) {
			t.Fatalf("text %q, want %q", got, text)
		}
		p = &m.Parts[2]
		d, _ := NewDecoder(bytes.NewReader(raw[p.BodyStart:p.BodyEnd]), p.Encoding)
		if got, _ := io.ReadAll(d); string(got) != text {
			t.Fatalf("file %q, want %q", got, text)
		}
	})
}
