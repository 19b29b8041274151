package message

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// RFC 5256 §2.1 by example.
func TestBaseSubject(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		reply    bool
	}{
		{"", "", false},
		{"hello", "hello", false},
		{"Re: hello", "hello", true},
		{"RE: re:Fwd: FW : hello (fwd) (FWD)", "hello", true},
		{"[list] hello", "hello", false},
		{"[list] Re: [other] hello", "hello", true},
		{"Re[2]: hello", "hello", true},
		{"Re [2] : hello", "hello", true},
		{"[list] Re[4]: [x] Fw: hello  world", "hello world", true},
		{"[fwd: Re: hello]", "hello", true},
		{"[Fwd: [Fwd: hello]]", "hello", true},
		{"[only a blob]", "[only a blob]", false},
		{"[blob][blob2]", "[blob2]", false},
		{"Regarding: hello", "Regarding: hello", false},
		{"Re hello", "Re hello", false},
		{"Re:", "", true},
		{"\t tabs \t and   spaces ", "tabs and spaces", false},
		{"[[nested]] x", "[[nested]] x", false},
		{strings.Repeat("Re: ", 10000) + "x", "x", true},
		{strings.Repeat("[a]", 10000) + "x", "x", false},
	} {
		if got := BaseSubject(tt.in); got != tt.want || IsReplySubject(tt.in) != tt.reply {
			t.Errorf("BaseSubject(%.60q) = %q, %v; want %q, %v", tt.in, got, IsReplySubject(tt.in), tt.want, tt.reply)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	m := Parse(crlf("Message-ID: <a@b>\nIn-Reply-To: Your message of Monday <\"quo\\\"ted\"@x> (c <no@no>)\n" +
		"References: <1@x> junk\n <2@x><3@ (comment) x>\n <1@x> <> <unclosed@x <4@x>\n\n"))
	if got := m.MessageID(); got != "a@b" {
		t.Errorf("Message-ID %q", got)
	}
	if got := m.InReplyTo(); len(got) == 0 || got[0] != `quo"ted@x` {
		t.Errorf("In-Reply-To %q", got)
	}
	if got := m.References(); !slices.Equal(got, []string{"1@x", "2@x", "3@x", "4@x"}) {
		t.Errorf("References %q", got)
	}
	m = Parse([]byte("Message-ID: bare@id.example\r\nReferences: " + strings.Repeat("<x@y> ", 3) + "\r\n\r\n"))
	if m.MessageID() != "bare@id.example" || len(m.References()) != 1 {
		t.Errorf("%q %q", m.MessageID(), m.References())
	}
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, "<%d@x>\r\n ", i)
	}
	refs := Parse([]byte("References: " + many.String() + "\r\n\r\n")).References()
	if len(refs) != 100 || refs[0] != "0@x" || refs[99] != "4999@x" {
		t.Errorf("%d references kept, %v", len(refs), refs[:2])
	}
}

func TestParseDate(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"},
		{"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
		{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Mon, 23 Nov 2026 06:00:00", "2026-11-23T06:00:00Z"},
		{"23 November 2026 06:00 EST", "2026-11-23T06:00:00-05:00"},
		{"Mon Nov 23 06:00:00 2026", "2026-11-23T06:00:00Z"},
		{"Mon Nov 23 06:00:00 PST 2026", "2026-11-23T06:00:00-08:00"},
		{"Monday, 23-Nov-26 06:00:00 UT", "2026-11-23T06:00:00Z"},
		{"Mon, 23 Nov 2026 06:00:00 GMT+0200", "2026-11-23T06:00:00+02:00"},
		{"Mon, 23 Nov 2026 06:00:00 +02:00", "2026-11-23T06:00:00+02:00"},
		{"Mon, 23 Nov 2026 06.00.00 +0200", "2026-11-23T06:00:00+02:00"},
		{"Mon, 23 Nov 2026 6:00:00 PM +0000", "2026-11-23T18:00:00Z"},
		{"Mon, 23 Nov 2026 06:00:00 Z", "2026-11-23T06:00:00Z"},
		{"Mon, 23 Nov 2026 23:59:60 +0000", "2026-11-23T23:59:59Z"},
		{"Mon, 23 Nov 126 06:00:00 +0000", "2026-11-23T06:00:00Z"},
		{"Sun, 29 Feb 2026 06:00:00 +0000", ""},
		{"tomorrow", ""},
		{"Mon, 23 Nov", ""},
		{"32 Nov 2026 06:00:00 +0000", ""},
		{"Mon, 23 Nov 2026 25:00:00 +0000", ""},
		{"", ""},
	} {
		got, ok := ParseDate([]byte(tt.in))
		if s := got.Format(time.RFC3339); ok != (tt.want != "") || ok && s != tt.want {
			t.Errorf("ParseDate(%q) = %s, %v; want %s", tt.in, s, ok, tt.want)
		}
	}
}

// TestParseDateLayouts: every time comes back from every way to write it.
func TestParseDateLayouts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		zone := time.FixedZone("", (r.IntN(27*4)-13*4)*900)
		when := time.Unix(r.Int64N(4e9), 0).In(zone)
		for _, layout := range []string{time.RFC1123Z, "Mon, 2 Jan 2006 15:04:05 -0700 (MST)", "2 Jan 2006 15:04:05 -0700",
			"Mon, _2 Jan 2006 15:04 -0700", "Mon Jan _2 15:04:05 -0700 2006", "Mon Jan _2 15:04:05 2006 -0700",
			"Monday, 2-Jan-2006 15:04:05 -07:00", "January 2, 2006 3:04:05 PM -0700", "Mon, 2 Jan 2006 15.04.05 -0700"} {
			want := when
			if !strings.Contains(layout, "05") {
				want = when.Truncate(time.Minute)
			}
			got, ok := ParseDate([]byte(when.Format(layout)))
			_, a := got.Zone()
			if _, b := want.Zone(); !ok || !got.Equal(want) || a != b {
				t.Fatalf("%q = %v, %v", when.Format(layout), got, ok)
			}
		}
	}
}
