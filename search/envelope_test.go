package search

import (
	"fmt"
	"testing"

	"posthouse/message"
)

// FuzzEnvelope: an ENVELOPE as delivery writes it gives back the header's first
// addresses and its subject; a broken one gives something.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte("From: =?utf-8?q?Zo=C3=AB?= <zoe@x.test>, b@x.test\r\nTo: \"a \\\"b\\\" c\" <\"q q\"@x.test>\r\nSubject: hi \"there\"\r\n\r\n"))
	f.Add([]byte("From: list: a@x.test, b@x.test;\r\nCc: c@x.test\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n\r\n"))
	f.Add([]byte("Subject: \xff\xfe\r\nFrom: (c)\r\n\r\n"))
	f.Add([]byte(`("x" NIL (("a`))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseEnvelope(b)
		Addresses(b, func(int, string, string) {})
		m := message.Parse(b)
		e := parseEnvelope(m.AppendEnvelope(nil))
		if got, want := message.DecodeHeader(e.subject), m.Subject(); got != want && len(want) < 100 && !hasBreak(want) {
			if message.BaseSubject(got) != message.BaseSubject(want) {
				t.Errorf("subject %q, want %q", got, want)
			}
		}
		if (len(e.id) > 0) != (len(m.Header.RawValue("Message-ID")) > 0) {
			t.Errorf("message id %q", e.id)
		}
	})
}

func hasBreak(s string) bool {
	for _, c := range s {
		if c < ' ' || c == 0x7f || c == 0xfffd {
			return true
		}
	}
	return false
}

func TestAddresses(t *testing.T) {
	m := message.Parse([]byte("From: =?utf-8?q?Zo=C3=AB?= <zoe@x.test>\r\nReply-To: r@x.test\r\nTo: b@x.test, list: c@x.test;\r\nBcc: d@x.test\r\n\r\n"))
	got := ""
	Addresses(m.AppendEnvelope(nil), func(list int, name, address string) {
		if list == EnvelopeFrom || list >= EnvelopeTo {
			got += fmt.Sprint(list, name, address, ";")
		}
	})
	if got != "2 Zoë zoe@x.test;5  b@x.test;5  c@x.test;7  d@x.test;" && got != "2Zoëzoe@x.test;5b@x.test;5c@x.test;7d@x.test;" {
		t.Error(got)
	}
}
