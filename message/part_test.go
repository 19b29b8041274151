package message

import "testing"

func TestAttachments(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   bool
	}{
		{"", false},
		{"Content-Type: text/plain; name=notes.txt\r\n", true},
		{"Content-Type: text/plain; name=notes.txt\r\nContent-Disposition: inline\r\n", false},
		{"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n", true},
		{"Content-Type: text/html\r\n", false},
		{"Content-Type: text/calendar; method=REQUEST\r\n", false},
		{"Content-Type: text/calendar; name=invite.ics\r\n", true},
		{"Content-Type: image/png\r\n", true},
		{"Content-Type: image/png\r\nContent-ID: <x>\r\n", false},
		{"Content-Type: image/png\r\nContent-ID: <x>\r\nContent-Disposition: attachment\r\n", true},
		{"Content-Type: application/pdf\r\n", true},
		{"Content-Type: application/pdf\r\nContent-Disposition: inline\r\n", true},
		{"Content-Type: application/pgp-signature; name=signature.asc\r\n", false},
		{"Content-Type: message/delivery-status\r\n", false},
		{"Content-Type: message/rfc822\r\n", true},
		{"Content-Type: multipart/mixed; boundary=b\r\n", false},
	} {
		if got := Parse([]byte(tt.header + "\r\nx")).HasAttachment(); got != tt.want {
			t.Errorf("%q: %v", tt.header, got)
		}
	}
}

func TestFilename(t *testing.T) {
	for _, tt := range []struct{ header, want string }{
		{"Content-Type: a/b; name=n", "n"},
		{"Content-Type: a/b; name=n\r\nContent-Disposition: attachment; filename=f", "f"},
		{"Content-Disposition: attachment; filename*=utf-8''%e2%82%ac", "€"},
		{"Content-Disposition: attachment; filename*=bad", "bad"},
		{"Content-Disposition: attachment; filename*=iso-8859-1'de'%E4", "ä"},
		{"Content-Disposition: attachment; filename=\"=?utf-8?b?4oKs?=\"", "€"},
		{"Content-Disposition: ; filename=x", ""},
		{"X: y", ""},
	} {
		if got := Parse([]byte(tt.header + "\r\n\r\n")).Parts[0].Filename(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.header, got, tt.want)
		}
	}
}

func TestMemoryOfASmallMessage(t *testing.T) {
	raw := crlf("From: a@b\nTo: c@d\nSubject: x\nContent-Type: text/plain; charset=utf-8\n\nHello\n")
	p := NewParser(Limits{})
	n := testing.AllocsPerRun(100, func() {
		p.Reset()
		p.Write(raw)
		p.Close()
	})
	if n > 10 { // it is 4; the race detector's pools lose buffers
		t.Errorf("%v allocations", n)
	}
}
