package message

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzReport: any message is read as a report without harm, and within bounds.
func FuzzReport(f *testing.F) {
	for _, s := range []string{
		"Content-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\nOriginal-Envelope-Id: E1\n\nFinal-Recipient: rfc822; a@b\nAction: failed (x)\nStatus: 5.1.1 (y)\nDiagnostic-Code: smtp; 550\n x\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <m@x>\n\nbody\n--b--\n",
		"Content-Type: multipart/report; boundary=b\nIn-Reply-To: <i@x>\n\n--b\nContent-Type: message/global-delivery-status\nContent-Transfer-Encoding: base64\n\nQWN0aW9uOiB4\n--b--\n",
		"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/disposition-notification\n\nOriginal-Message-ID: <m@x>\nDisposition: a/b; displayed/error\n--b--\n",
		"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n--b--\n",
	} {
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Parse(b)
		r, err := ReadReport(m, bytes.NewReader(b))
		if err != nil || r == nil {
			return
		}
		if len(r.Recipients) > maxReported || strings.ContainsAny(r.MessageID+r.EnvelopeID, "\r\n") {
			t.Errorf("%+v", r)
		}
	})
}

// A report says which message it is about by what it returns of it, or by what it answers.
func TestReportIdentity(t *testing.T) {
	head := "Content-Type: multipart/report; boundary=b\r\nIn-Reply-To: <answered@x>\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.1.1 (no)\r\n"
	for _, c := range []struct{ more, want string }{
		{"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <whole@x>\r\n\r\nbody\r\n--b--\r\n", "<whole@x>"},
		{"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <head@x>\r\n--b--\r\n", "<head@x>"},
		{"--b\r\nContent-Type: message/global-headers\r\n\r\nMessage-ID: <global@x>\r\n--b--\r\n", "<global@x>"},
		{"--b--\r\n", "<answered@x>"},
	} {
		b := []byte(head + c.more)
		r, err := ReadReport(Parse(b), bytes.NewReader(b))
		if err != nil || r == nil || r.MessageID != c.want || len(r.Recipients) != 1 || r.Recipients[0] != (ReportedRecipient{Final: "a@b", Action: "failed", Status: "5.1.1"}) {
			t.Errorf("%q: %+v, %v", c.more, r, err)
		}
	}
}
