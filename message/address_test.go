package message

import (
	"fmt"
	"strings"
	"testing"
)

// TestEnvelopeAddresses: the forms of RFC 5322 §3.4 and §4.4, and broken ones.
// Where Dovecot's answer makes sense, it is ours.
func TestEnvelopeAddresses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "NIL"},
		{"a@b.example", `(NIL NIL "a" "b.example")`},
		{"<a@b>", `(NIL NIL "a" "b")`},
		{"John Q. Public <jqp@example.com>", `("John Q. Public" NIL "jqp" "example.com")`},
		{`"Doe, John" <j@d>`, `("Doe, John" NIL "j" "d")`},
		{`J. "Middle" Last <j@x>`, `("J. Middle Last" NIL "j" "x")`},
		{"=?utf-8?q?J=C3=B6rg?= <j@x>", `("=?utf-8?q?J=C3=B6rg?=" NIL "j" "x")`},
		{"Jörg <j@x>", "({5}\r\nJörg NIL \"j\" \"x\")"},
		{"(comment) user@host (Real Name)", `("Real Name" NIL "user" "host")`},
		{"<@r1,@r2:user@final>", `(NIL "@r1,@r2" "user" "final")`},
		{`"quoted local"@host`, `(NIL NIL "quoted local" "host")`},
		{"user @ spaced . example", `(NIL NIL "user" "spaced.example")`},
		{"first . last @ host", `(NIL NIL "first.last" "host")`},
		{"user@[192.0.2.1]", `(NIL NIL "user" "[192.0.2.1]")`},
		{"G: x@y, \"Z\" <z@y>;, a@g", `(NIL NIL "G" NIL)(NIL NIL "x" "y")("Z" NIL "z" "y")(NIL NIL NIL NIL)(NIL NIL "a" "g")`},
		{"undisclosed-recipients:;", `(NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)`},
		{"G: never closed <a@b>", `(NIL NIL "G" NIL)("never closed" NIL "a" "b")(NIL NIL NIL NIL)`},
		{"root", `(NIL NIL "root" "MISSING_DOMAIN")`},
		{"some words", `("some words" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")`},
		{"<>", `(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")`},
		{"<user>", `(NIL NIL "user" "MISSING_DOMAIN")`},
		{"a@b; c@d", `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{"a@b,,, c@d,", `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{"Name <a@b", `("Name" NIL "a" "b")`},
		{"Name a@b", `("Name" NIL "a" "b")`},
		{"a@b <c@d>", `("a@b" NIL "c" "d")`},
		{`"a@b" <c@d>`, `("a@b" NIL "c" "d")`},
		{"a\r\n @b\r\n (c\r\n d)", `("c d" NIL "a" "b")`},
		{`"with \"quotes\" and \\" <x@y>`, `("with \"quotes\" and \\" NIL "x" "y")`},
		{"(((((", "NIL"},
		{strings.Repeat("(", 100000), "NIL"},
		{"a.b.@c", `(NIL NIL "a.b." "c")`},
		{"a@b@c", `(NIL NIL "a" "b")`},
	} {
		h := ParseHeader([]byte("To: "+tt.in+"\r\n"), Limits{})
		x := addressLexer{lexer: lexer{keep: true}}
		got := string(x.appendList(nil, &h, "to", 1000))
		if tt.want != "NIL" {
			tt.want = "(" + tt.want + ")"
		}
		if got != tt.want {
			t.Errorf("%q\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestParseAddresses(t *testing.T) {
	list := ParseAddresses([]byte("=?utf-8?q?J=C3=B6rg?= <J@Example.COM.>, Team: b@c;, jörg@exämple.example"), 0)
	if got := fmt.Sprint(list); got != "[{Jörg J@example.com false} {Team  true} { b@c false} { jörg@exämple.example false}]" {
		t.Error(got)
	}
	if n := len(ParseAddresses([]byte(strings.Repeat("a@b,", 5000)), 0)); n != 1000 {
		t.Errorf("%d addresses kept", n)
	}
}

func TestEnvelope(t *testing.T) {
	// The example of RFC 3501 §8.
	m := Parse(crlf(`Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev1 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

x
`))
	want := `("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" ` +
		`(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ` +
		`(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ` +
		`((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.edu>")`
	if got := string(m.AppendEnvelope(nil)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	m = Parse([]byte("Subject: a\"b\\c\r\nSender: s@x\r\nFrom:\r\nTo: a@b\r\nTo: c@d\r\n\r\n"))
	want = `(NIL "a\"b\\c" NIL ((NIL NIL "s" "x")) NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)`
	if got := string(m.AppendEnvelope(nil)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestParseGroups(t *testing.T) {
	got := ParseGroups([]byte(`a@x.test, Team: "Bo B" <b@x.test>, c@x.test;, d@x.test, Nobody:;`), 0)
	if len(got) != 4 || got[0].Named || len(got[0].Members) != 1 || got[1].Name != "Team" || len(got[1].Members) != 2 || got[1].Members[0].Name != "Bo B" ||
		got[2].Named || got[2].Members[0].Address.Local != "d" || got[3].Name != "Nobody" || len(got[3].Members) != 0 {
		t.Errorf("%+v", got)
	}
	if got := ParseGroups([]byte("a@x, b@x, c@x"), 2); len(got) != 1 || len(got[0].Members) != 2 {
		t.Errorf("limit: %+v", got)
	}
}
