package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"posthouse/mail"
)

func TestReadLine(t *testing.T) {
	tests := []struct {
		in    string
		size  int
		want  string
		err   error
		after string
	}{
		{"EHLO x\r\nNOOP\r\n", 64, "EHLO x", nil, "NOOP\r\n"},
		{"EHLO x\nNOOP\r\n", 64, "EHLO x", ErrBareLF, "NOOP\r\n"},
		{"0123456789\r\nN", 64, "0123456789", nil, "N"},
		{"0123456789\nN", 64, "0123456789", ErrBareLF, "N"},
		{"0123456789a\r\nN", 64, "", ErrLineTooLong, "N"},
		{"0123456789a\nN", 64, "", ErrLineTooLong, "N"},
		{strings.Repeat("x", 300) + "\r\nN", 16, "", ErrLineTooLong, "N"},
		{strings.Repeat("x", 30000) + "\r\nN", 16, "", ErrLineEndless, ""},
		{"EHLO", 64, "", io.ErrUnexpectedEOF, ""},
		{"", 64, "", io.EOF, ""},
		{"\r\n", 64, "", nil, ""},
	}
	for _, tt := range tests {
		r := bufio.NewReaderSize(strings.NewReader(tt.in), tt.size)
		line, err := ReadLine(r, 10)
		if string(line) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("ReadLine(%.20q) = %q, %v; want %q, %v", tt.in, line, err, tt.want, tt.err)
		}
		if rest, _ := io.ReadAll(r); tt.err != ErrLineEndless && string(rest) != tt.after {
			t.Errorf("ReadLine(%.20q) left %q, want %q", tt.in, rest, tt.after)
		}
	}
}

func TestReadLineSmallBuffer(t *testing.T) {
	want := strings.Repeat("ab", 100)
	r := bufio.NewReaderSize(strings.NewReader(want+"\r\n"), 16)
	if line, err := ReadLine(r, 200); string(line) != want || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestParseCommand(t *testing.T) {
	for in, want := range map[string]Command{
		"ehlo a.example":      {"EHLO", "a.example"},
		"Mail From:<a@b.c>  ": {"MAIL", "From:<a@b.c>"},
		"RCPT\tTO:<a@b.c>":    {"RCPT", "TO:<a@b.c>"},
		"data":                {"DATA", ""},
		"frob x":              {"FROB", "x"},
	} {
		if got, err := ParseCommand([]byte(in)); err != nil || got != want {
			t.Errorf("ParseCommand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "\x00", "MAIL\x00FROM", "é", "MAIL:FROM", strings.Repeat("A", 33)} {
		if got, err := ParseCommand([]byte(in)); err == nil {
			t.Errorf("ParseCommand(%q) = %q, want an error", in, got)
		}
	}
	line := []byte("rcpt TO:<a@b.c>")
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseCommand(line) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestParsePath(t *testing.T) {
	tests := []struct {
		in     string // after "FROM:" or "TO:"
		local  string
		domain mail.Domain
		out    string // printed for a server without SMTPUTF8; "" if it cannot be
		non    bool
	}{
		{"<ada@Example.ORG>", "ada", "example.org", "<ada@example.org>", false},
		{" <Ada.L+x@example.org.>", "Ada.L+x", "example.org", "<Ada.L+x@example.org>", false},
		{`<"a b\"c\\"@example.org>`, `a b"c\`, "example.org", `<"a b\"c\\"@example.org>`, false},
		{`<"ada"@example.org>`, "ada", "example.org", "<ada@example.org>", false},
		{`<"a>@b"@example.org>`, "a>@b", "example.org", `<"a>@b"@example.org>`, false},
		{`<""@example.org>`, "", "example.org", `<""@example.org>`, false},
		{"<a..b.@example.org>", "a..b.", "example.org", `<"a..b."@example.org>`, false},
		{"<@a.example,@b.example:ada@example.org>", "ada", "example.org", "<ada@example.org>", false},
		{"<ada@[192.0.2.1]>", "ada", "[192.0.2.1]", "<ada@[192.0.2.1]>", false},
		{"<ada@[ipv6:2001:DB8::0:1]>", "ada", "[IPv6:2001:db8::1]", "<ada@[IPv6:2001:db8::1]>", false},
		{"<ada@b\u00fccher.example>", "ada", "bücher.example", "<ada@xn--bcher-kva.example>", true},
		{"<ada@bu\u0308CHER.example>", "ada", "bücher.example", "<ada@xn--bcher-kva.example>", true},
		{"<ada@XN--BCHER-KVA.example>", "ada", "bücher.example", "<ada@xn--bcher-kva.example>", false},
		{"<用户@例え.テスト>", "用户", "例え.テスト", "", true},
		{"<a_b@host_1.example>", "a_b", "host_1.example", "<a_b@host_1.example>", false},
	}
	for _, tt := range tests {
		for _, parse := range []func(string) (PathArg, error){
			func(s string) (PathArg, error) { return ParseMail("from:" + s) },
			func(s string) (PathArg, error) { return ParseRcpt("To:" + s) },
		} {
			p, err := parse(tt.in)
			if err != nil || p.Address.Local != tt.local || p.Address.Domain != tt.domain || p.NonASCII != tt.non {
				t.Errorf("%q = %+v, %v", tt.in, p, err)
				continue
			}
			out, err := AppendPath(nil, p.Address, false)
			if (err != nil) != (tt.out == "") || err == nil && string(out) != tt.out {
				t.Errorf("%q prints %q, %v; want %q", tt.in, out, err, tt.out)
			}
		}
	}
}

func TestParsePathSpecial(t *testing.T) {
	if p, err := ParseMail("FROM:<> BODY=8BITMIME"); err != nil || !p.Address.IsNull() || len(p.Params) != 1 {
		t.Errorf("null path: %+v, %v", p, err)
	}
	if p, err := ParseRcpt("TO:<Postmaster>"); err != nil || p.Address != (mail.Address{Local: "Postmaster"}) {
		t.Errorf("postmaster: %+v, %v", p, err)
	}
	for _, in := range []string{"FROM:<postmaster>", "FROM:a@b", "FROM:<a@b", "FROM:<a@b>x", "FROM:<a>", "FROM:<@b>",
		"FROM:<a@>", "FROM:<a b@c>", "FROM:<\"a@b>", "FROM:<\"a\\", "FROM:<a@b@c>", "FROM:<a@-b>", "FROM:<a@b..c>",
		"FROM:<a@[1.2.3]>", "FROM:<a@[1.2.3.4>", "FROM:<a@[::1]>", "FROM:<a@[IPv6:fe80::1%eth0]>", "FROM:<\xff@b>",
		"FROM:<a@\xff.b>", "FROM:<\"a\x01\"@b>", "FROM:<a\u0085@b>", "FROM <a@b>", "FROM:<@a,b:c@d>", "FROM:<@a:>", "",
		"FROM:<" + strings.Repeat("a", 256) + "@b>", "FROM:<a@" + strings.Repeat("b.", 130) + "c>",
		"FROM:<a@xn--a>", "FROM:<a@b\u2024c..d>"} {
		if p, err := ParseMail(in); err == nil {
			t.Errorf("ParseMail(%q) = %+v, want an error", in, p)
		}
	}
	if _, err := ParseRcpt("TO:<>"); err == nil {
		t.Error("null forward-path taken")
	}
}

func TestParseParams(t *testing.T) {
	p, err := ParseMail("FROM:<a@b> size=123  BODY=8BITMIME SMTPUTF8 AUTH=<>")
	if err != nil || len(p.Params) != 4 {
		t.Fatalf("%+v, %v", p, err)
	}
	if v, ok := p.Params.Lookup("SIZE"); !ok || v.Value != "123" || !v.HasValue {
		t.Errorf("SIZE = %+v", v)
	}
	if v, ok := p.Params.Lookup("SMTPUTF8"); !ok || v.HasValue {
		t.Errorf("SMTPUTF8 = %+v", v)
	}
	for _, in := range []string{" SIZE=1 size=2", " =x", " -A=1", " A\x00=1", " A=\x7f", " A=\xff", strings.Repeat(" A=1", 3)} {
		if _, err := ParseParams(in); err == nil {
			t.Errorf("ParseParams(%q) worked", in)
		}
	}
}

func TestDSNParams(t *testing.T) {
	for in, want := range map[string]mail.NotifyMask{"never": mail.NotifyNever,
		"SUCCESS,FAILURE": mail.NotifySuccess | mail.NotifyFailure, "Delay": mail.NotifyDelay} {
		m, err := ParseNotify(in)
		if err != nil || m != want {
			t.Errorf("ParseNotify(%q) = %v, %v", in, m, err)
		}
		if again, _ := ParseNotify(string(AppendNotify(nil, m))); again != m {
			t.Errorf("%q does not survive printing", in)
		}
	}
	for _, in := range []string{"", "NEVER,DELAY", "x", "DELAY,"} {
		if _, err := ParseNotify(in); err == nil {
			t.Errorf("ParseNotify(%q) worked", in)
		}
	}
	if full, err := ParseRet("full"); !full || err != nil {
		t.Error("RET=full")
	}
	if _, err := ParseRet("half"); err == nil {
		t.Error("RET=half worked")
	}
	if b, err := ParseBody("binarymime"); b != mail.BodyBinaryMIME || err != nil || BodyWord(b) != "BINARYMIME" {
		t.Error("BODY=binarymime")
	}
}

func TestORCPT(t *testing.T) {
	tests := []struct{ in, want, out string }{
		{"rfc822;Ada+2Bx@example.org", "rfc822;Ada+x@example.org", "rfc822;Ada+2Bx@example.org"},
		{`utf-8;\x{3b1}da@example.org`, "utf-8;αda@example.org", `utf-8;\x{3B1}da@example.org`},
		{"utf-8;αda@example.org", "utf-8;αda@example.org", `utf-8;\x{3B1}da@example.org`},
	}
	for _, tt := range tests {
		got, err := ParseORCPT(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseORCPT(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
		if out := string(AppendORCPT(nil, got, false)); out != tt.out {
			t.Errorf("AppendORCPT(%q) = %q, want %q", got, out, tt.out)
		}
	}
	for _, in := range []string{"", "x", ";a", "rfc822;", "rfc822;+", "rfc822;+0D+0Ax", "rfc822;a=b", `utf-8;\x{110000}`, `utf-8;\x{}`, "utf-8;\\x{0a}", "rfc822;+FF"} {
		if got, err := ParseORCPT(in); err == nil {
			t.Errorf("ParseORCPT(%q) = %q, want an error", in, got)
		}
	}
}

func TestReadReply(t *testing.T) {
	tests := []struct {
		in   string
		want mail.Reply
	}{
		{"250 ok\r\n", mail.Reply{Code: 250, Text: "ok"}},
		{"250\r\n", mail.Reply{Code: 250}},
		{"250-\r\n250 \r\n", mail.Reply{Code: 250, Text: "\n"}},
		{"250-a.example\r\n250-SIZE 10\r\n250 DSN\r\n", mail.Reply{Code: 250, Text: "a.example\nSIZE 10\nDSN"}},
		{"550-5.1.1 No such\r\n550 5.1.1 user\r\n", mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}, Text: "No such\nuser"}},
		{"550 5.1.1\r\n", mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}}},
		{"451 5.1.1 odd\n", mail.Reply{Code: 451, Text: "5.1.1 odd"}},
		{"550 5.1.1000 no\r\n", mail.Reply{Code: 550, Text: "5.1.1000 no"}},
		{"421 bye\x1b[31m\xff\r\n", mail.Reply{Code: 421, Text: "bye?[31m?"}},
	}
	for _, tt := range tests {
		got, err := ReadReply(bufio.NewReader(iotest.OneByteReader(strings.NewReader(tt.in))), ReplyLimits{})
		if err != nil || got != tt.want {
			t.Errorf("ReadReply(%q) = %+v, %v", tt.in, got, err)
		}
	}
	for _, in := range []string{"HTTP/1.1 400\r\n", "250-a\r\n251 b\r\n", "25\r\n", "2500 x\r\n", "150 x\r\n", "\r\n",
		strings.Repeat("250-x\r\n", 300), "250 " + strings.Repeat("x", 9000) + "\r\n"} {
		if got, err := ReadReply(bufio.NewReader(strings.NewReader(in)), ReplyLimits{}); err == nil {
			t.Errorf("ReadReply(%.30q) = %+v, want an error", in, got)
		}
	}
	r := mail.Reply{}
	big := strings.Repeat("250-"+strings.Repeat("y", 400)+"\r\n", 150) + "250 z\r\n"
	r, err := ReadReply(bufio.NewReader(strings.NewReader(big)), ReplyLimits{})
	if err != nil || len(r.Text) > 8192 {
		t.Errorf("%d octets of text, %v", len(r.Text), err)
	}
}

func TestAppendReply(t *testing.T) {
	got := string(AppendReply(nil, mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "no\r\nreally\x00é"}))
	if want := "550-5.7.1 no\r\n550 5.7.1 really???\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	long := AppendReply(nil, mail.Reply{Code: 250, Text: strings.Repeat("word ", 300) + strings.Repeat("x", 1000)})
	for line := range bytes.SplitSeq(bytes.TrimSuffix(long, []byte("\r\n")), []byte("\r\n")) {
		if len(line) > 510 {
			t.Errorf("line of %d octets", len(line))
		}
	}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { AppendReply(buf, mail.Reply{Code: 250, Text: "ok"}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
