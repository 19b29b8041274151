package message

import (
	"bytes"
	"testing"
)

func TestHeaderAccess(t *testing.T) {
	h := ParseHeader([]byte("From mbox Mon 06:00\r\n more\r\nSubject: one\r\n two\r\n\tthree \r\nX-Empty:\r\nSUBJECT : second\r\nno colon\r\n  after it\r\nTo: a@b\nCc:c\r\n\r\nBody: no\r\n"), Limits{})
	if h.Len() != 5 || h.Value("subject") != "one two\tthree" || h.Value("Cc") != "c" || h.Value("body") != "" {
		t.Errorf("%d fields, subject %q, cc %q, body %q", h.Len(), h.Value("subject"), h.Value("Cc"), h.Value("body"))
	}
	if v := h.Values("Subject"); len(v) != 2 || v[1] != "second" || h.Count("subject") != 2 {
		t.Errorf("values %q", v)
	}
	if h.RawValue("X-Empty") == nil || h.RawValue("X-None") != nil || !h.Has("x-empty") || h.Has("X-None") {
		t.Error("an empty field is there, a missing one is not")
	}
	for v := range h.RawValues("subject") {
		if v == nil {
			t.Error("no value")
		}
		break
	}
	n := 0
	for name, value := range h.All() {
		if n++; name == "" || value == nil {
			t.Errorf("field %q %q", name, value)
		}
	}
	if n != 5 {
		t.Errorf("%d fields", n)
	}
}

func TestHeaderLimits(t *testing.T) {
	raw := bytes.Repeat([]byte("X-A: 1\r\n"), 100)
	if h := ParseHeader(raw, Limits{HeaderLines: 7}); h.Len() != 7 {
		t.Errorf("%d fields of 7 lines", h.Len())
	}
	if h := ParseHeader(raw, Limits{HeaderBytes: 20}); h.Len() != 3 {
		t.Errorf("%d fields in 20 bytes", h.Len())
	}
	if h := ParseHeader([]byte("A: 0123456789\r\n"), Limits{FieldBytes: 6}); h.Value("a") != "01234" {
		t.Errorf("value %q", h.Value("a"))
	}
	// Beyond the limits the header still ends where it ends.
	m := NewParser(Limits{HeaderLines: 3, HeaderBytes: 30})
	m.Write(append(raw, "Subject: late\r\n\r\nbody"...))
	if msg := m.Close(); msg.Subject() != "" || msg.Size-msg.Parts[0].BodyStart != 4 {
		t.Errorf("subject %q, body at %d of %d", msg.Subject(), msg.Parts[0].BodyStart, msg.Size)
	}
}

func TestAppendHeaderFields(t *testing.T) {
	const raw = "From: a\r\nSubject: x\r\n folded\r\nReceived : 1\r\nfrom: b\nTo: c\r\n\r\nFrom: body\r\n"
	for _, tt := range []struct {
		names []string
		not   bool
		want  string
	}{
		{[]string{"FROM", "x"}, false, "From: a\r\nfrom: b\n\r\n"},
		{[]string{"subject"}, false, "Subject: x\r\n folded\r\n\r\n"},
		{[]string{"subject", "from", "to"}, true, "Received : 1\r\n\r\n"},
		{[]string{"received"}, false, "Received : 1\r\n\r\n"},
		{nil, false, "\r\n"},
	} {
		if got := string(AppendHeaderFields(nil, []byte(raw), tt.names, tt.not)); got != tt.want {
			t.Errorf("%v not=%v: %q, want %q", tt.names, tt.not, got, tt.want)
		}
	}
	if got := string(AppendHeaderFields(nil, []byte("To: cut off"), []string{"to"}, false)); got != "To: cut off\r\n\r\n" {
		t.Errorf("a field without line end: %q", got)
	}
}

// The examples of RFC 2047 §8, and what mailers make of it.
func TestDecodeHeader(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
		{"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"},
		{"=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"},
		{"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=", "If you can read this you understand the example."},
		{"(=?ISO-8859-1?Q?a?=)", "(a)"},
		{"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
		{"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
		{"(=?ISO-8859-1?Q?a?=\r\n       =?ISO-8859-1?Q?b?=)", "(ab)"},
		{"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
		{"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
		{"=?utf-8?B?ww==?= =?utf-8?B?qQ==?=", "é"}, // a character cut between two words
		{"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"},
		{"=?UTF-8*en?Q?caf=C3=A9?=", "café"}, // RFC 2231 §5
		{"=?utf-8?q?no end", "=?utf-8?q?no end"},
		{"=?utf-8?x?what?= =?utf-8?q?ok?=", "=?utf-8?x?what?= ok"},
		{"=?x-unknown?q?caf=E9?=", "café"},
		{"=?utf-8?q?with spaces inside?=", "with spaces inside"},
		{"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
		{"a=?utf-8?q?b?=c", "abc"},
		{"=?utf-8?q??= x", " x"},
		{"=?gb2312?B?us/NrA==?=", "合同"},
		{"=?iso-2022-jp?B?GyRCMnE1RBsoQg==?=", "会議"},
		{"=?utf-8?q?line=0D=0ABcc:_x?=", "line  Bcc: x"}, // no line comes out of a word
		{"plain\r\n folded", "plain folded"},
		{"raw caf\xc3\xa9", "raw café"},
		{"raw caf\xe9", "raw café"},
		{"bare\rCR, N\x00UL", "bare CR, NUL"},
		{"=?utf-8?B?8J+Ogg==?= 🎂", "🎂 🎂"},
	} {
		if got := DecodeHeader([]byte(tt.in)); got != tt.want {
			t.Errorf("DecodeHeader(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// The examples of RFC 2231 §3 and §4, and older ways to write them.
func TestParams(t *testing.T) {
	for _, tt := range []struct{ in, name, want string }{
		{`message/external-body; access-type=URL; URL*0="ftp://"; URL*1="cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"`, "url", "ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"},
		{"application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***"},
		{"application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"", "title", "This is even more ***fun*** isn't it!"},
		{"a/b; name*1=b; name*0=a", "name", "ab"},
		{"a/b; name*0=a; name*2=c", "name", "a"},
		{"a/b; name*=utf-8''%e2%82%ac; name=euro", "name", "€"},
		{"a/b; name==?utf-8?q?=E2=82=AC?=", "name", "€"},
		{`a/b; name="=?utf-8?q?=E2=82=AC?= x"`, "name", "€ x"},
		{"a/b; name=two words.txt; x=y", "name", "two words.txt"},
		{"a/b; name=first; name=second", "name", "first"},
		{"a/b; name=caf\xe9", "name", "café"},
		{`a/b; name="a\"b\\c"`, "name", `a"b\c`},
		{`a/b; name="never closed; x=y`, "name", "never closed; x=y"},
		{"a/b (comment); (c) name (c) = (c) x (c)", "name", "x"},
		{"a/b; charset=utf-8 name=x", "name", "x"},
		{"a/b;;; ; name=x;", "name", "x"},
		{"text; name=x", "name", "x"},
	} {
		_, _, ps, ok := parseMediaType([]byte(tt.in), Limits{}.withDefaults())
		if got := paramText(ps, tt.name); !ok || got != tt.want {
			t.Errorf("%s: %v %q, want %q (%q)", tt.in, ok, got, tt.want, ps)
		}
	}
	for _, bad := range []string{"", "text", "/", "a/", ";", "plain", "a b/c"} {
		if typ, sub, _, ok := parseMediaType([]byte(bad), Limits{}.withDefaults()); ok && bad != "text" {
			t.Errorf("%q is %s/%s", bad, typ, sub)
		}
	}
}
