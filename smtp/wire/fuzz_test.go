package wire

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func FuzzPath(f *testing.F) {
	for _, s := range []string{"FROM:<>", "FROM:<a@b.c> SIZE=1", `FROM:<"a b"@[IPv6:::1]>`, "FROM:<@a,@b:c@d>",
		"FROM:<用户@例え.テスト> SMTPUTF8", "FROM:<a@xn--bcher-kva.example>", "TO:<postmaster> NOTIFY=NEVER"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (PathArg, error){ParseMail, ParseRcpt} {
			p, err := parse(s)
			if err != nil || p.Address.Domain == "" {
				continue
			}
			out, err := AppendPath(nil, p.Address, true)
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			again, err := ParseRcpt("TO:" + string(out))
			if err != nil || again.Address != p.Address {
				t.Fatalf("%q prints %q, which parses to %+v, %v", s, out, again, err)
			}
			if NeedsUTF8(p.Address) {
				continue
			}
			if out, err = AppendPath(nil, p.Address, false); err != nil || !isASCII(string(out)) {
				t.Fatalf("%q prints %q, %v", s, out, err)
			}
			if again, err = ParseMail("FROM:" + string(out)); err != nil || again.Address != p.Address {
				t.Fatalf("%q prints %q, which parses to %+v, %v", s, out, again, err)
			}
			if bytes.ContainsAny(out, "\r\n\x00") {
				t.Fatalf("%q", out)
			}
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550-5.1.1 x\r\n550 5.1.1 y\r\n", "250\r\n", "4"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadReply(bufio.NewReader(bytes.NewReader(b)), ReplyLimits{Line: 200, Lines: 10, Text: 300})
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || len(r.Text) > 1000 || strings.ContainsAny(r.Text, "\r\x00\x1b") {
			t.Fatalf("%+v", r)
		}
		out := AppendReply(nil, r)
		again, err := ReadReply(bufio.NewReader(bytes.NewReader(out)), ReplyLimits{Lines: 1000})
		if err != nil || again.Code != r.Code {
			t.Fatalf("%q: %+v, %v", out, again, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add("MAIL FROM:<a@b>")
	f.Add("x")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCommand([]byte(s))
		if err == nil && (c.Verb == "" || c.Verb != strings.ToUpper(c.Verb)) {
			t.Fatalf("%+v", c)
		}
		_, _ = ParseORCPT(s)
		if d, err := DecodeXtext(s); err == nil {
			if again, err := DecodeXtext(string(AppendXtext(nil, d))); err != nil || again != d {
				t.Fatalf("%q: %q, %v", s, again, err)
			}
		}
		if o, err := ParseORCPT(s); err == nil {
			if again, err := ParseORCPT(string(AppendORCPT(nil, o, false))); err != nil || again != o {
				t.Fatalf("%q: %q -> %q, %v", s, o, again, err)
			}
		}
	})
}

func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.org", "xn--bcher-kva.example", "BÜCHER.example", "[192.0.2.1]", "a。b", "ß.example", "xn--zca.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDomain(s)
		if err != nil {
			return
		}
		a, err := DomainToASCII(d)
		if err != nil || !isASCII(a) {
			t.Fatalf("%q: %q, %v", d, a, err)
		}
		for _, x := range []string{a, string(d)} {
			if again, err := ParseDomain(x); err != nil || again != d {
				t.Fatalf("%q -> %q, but %q -> %q, %v", s, d, x, again, err)
			}
		}
	})
}

// naiveData is DATA decoding by the letter, octet by octet.
func naiveData(s string) (content, rest string, ok bool) {
	var b strings.Builder
	line := true // at the beginning of a line
	for i := 0; i < len(s); i++ {
		if line && s[i] == '.' {
			if strings.HasPrefix(s[i:], ".\r\n") {
				return b.String(), s[i+3:], true
			}
			line = false
			continue
		}
		b.WriteByte(s[i])
		line = strings.HasSuffix(s[:i+1], "\r\n") && i > 0
	}
	return "", "", false
}

func FuzzData(f *testing.F) {
	for _, s := range []string{"a\r\n.\r\n", "\n.\r\n", "..\r\n.\r\nx", ".\r\r\n.\r\n", "\r\n.\r\n", "a\r\n.\n.\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, rest, ok := naiveData(s)
		for _, r := range []io.Reader{strings.NewReader(s), iotest.OneByteReader(strings.NewReader(s))} {
			br := bufio.NewReaderSize(r, 16)
			d := NewDataReader(br, 50)
			got, err := io.ReadAll(d)
			if (err == nil) != ok || ok && string(got) != want {
				t.Fatalf("%q: %q, %v; want %q, %v", s, got, err, want, ok)
			}
			if !ok {
				continue
			}
			if after, _ := io.ReadAll(br); string(after) != rest {
				t.Fatalf("%q: left %q, want %q", s, after, rest)
			}
			flat := strings.ReplaceAll(want, "\r\n", "")
			if bare := d.Faults()&(FaultBareCR|FaultBareLF) != 0; bare != strings.ContainsAny(flat, "\r\n") {
				t.Fatalf("%q: %v", s, d.Faults())
			}
		}
	})
}

// What DataWriter sends, DataReader takes without fault; clean bytes unchanged.
func FuzzDataWriter(f *testing.F) {
	f.Add([]byte("a\r\n.\r\n..\n\r"), 3)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		step = max(1, min(step, 100))
		var out bytes.Buffer
		w := NewDataWriter(bufio.NewWriter(&out))
		for p := b; len(p) > 0; p = p[min(step, len(p)):] {
			if _, err := w.Write(p[:min(step, len(p))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(bytes.NewReader(out.Bytes()))
		d := NewDataReader(r, 0)
		got, err := io.ReadAll(d)
		if err != nil || d.Faults()&^FaultNUL != 0 || r.Buffered() > 0 {
			t.Fatalf("%q -> %q: %v, %v", b, out.Bytes(), d.Faults(), err)
		}
		c := LineCheck{}
		c.Check(b)
		if c.Finish()&^FaultNUL == 0 && (len(b) == 0 || bytes.HasSuffix(b, []byte("\r\n"))) && !bytes.Equal(got, b) {
			t.Fatalf("%q arrives as %q", b, got)
		}
	})
}
