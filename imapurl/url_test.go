package imapurl

import (
	"slices"
	"strings"
	"testing"
	"time"

	"posthouse/message"
)

// TestParse: the forms of RFC 5092 §11 and RFC 4467 §9, and what is none of them.
func TestParse(t *testing.T) {
	const proof = "0123456789abcdef0123456789abcdef"
	u, ok := Parse("IMAP://ada%40demo.test;AUTH=*@Demo.Test:143/Caf%C3%A9/x;UIDVALIDITY=7/;UID=20/;SECTION=1.2.MIME/;PARTIAL=3.5;EXPIRE=2027-01-02t03:04:05z;URLAUTH=submit+ben%40demo.test:internal:" + proof)
	if !ok || u.User != "ada@demo.test" || u.Host != "Demo.Test" || u.Mailbox != "Café/x" || u.Validity != 7 || u.UID != 20 {
		t.Fatalf("%+v, %v", u, ok)
	}
	if !slices.Equal(u.Path, []int{1, 2}) || u.Spec != message.SpecMIME || !u.Partial || u.First != 3 || u.Count != 5 {
		t.Errorf("%+v", u.Section)
	}
	if u.Access != AccessSubmit || u.Who != "ben@demo.test" || u.Mechanism != "internal" || u.Token != proof ||
		!u.Expire.Equal(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)) || !strings.HasSuffix(u.Rump, ";URLAUTH=submit+ben%40demo.test") {
		t.Errorf("%+v", u)
	}
	for _, link := range []string{
		"", "imap://", "imap://demo.test", "imap://demo.test/", "imap://demo.test/INBOX", "imap://demo.test/INBOX/?SEARCH",
		"imap:///INBOX/;UID=1", "imap://a@/INBOX/;UID=1", "imap://demo.test/;UID=1", "imap://demo.test//INBOX/;UID=1", "imaps://demo.test/INBOX/;UID=1",
		"imap://demo.test:x/INBOX/;UID=1", "imap://demo.test/INBOX/;UID=0", "imap://demo.test/INBOX/;UID=4294967296", "imap://demo.test/INBOX/;UID=1 ",
		"imap://demo.test/IN\u00e9/;UID=1", "imap://demo.test/%zz/;UID=1", "imap://demo.test/%ff/;UID=1",
		"imap://demo.test/INBOX/;UID=1;URLAUTH=", "imap://demo.test/INBOX/;UID=1;URLAUTH=submit+", "imap://demo.test/INBOX/;UID=1;URLAUTH=all",
		"imap://demo.test/INBOX/;UID=1;URLAUTH=anonymous:", "imap://demo.test/INBOX/;UID=1;URLAUTH=anonymous:internal", "imap://demo.test/INBOX/;UID=1;URLAUTH=anonymous:internal:00",
		"imap://demo.test/INBOX/;UID=1;URLAUTH=anonymous:INTERNAL:" + proof + "/;SECTION=1;EXPIRE=no", "imap://demo.test/INBOX/;UID=1;EXPIRE=soon;URLAUTH=anonymous",
		"imap://demo.test/INBOX/;UID=1;EXPIRE=2027-01-02T03:04:05Z", "imap://demo.test/" + strings.Repeat("x", maxURL) + "/;UID=1",
	} {
		if u, ok := Parse(link); ok && u.Token != proof+"/;SECTION=1;EXPIRE=no" {
			t.Errorf("%.80q is taken: %+v", link, u)
		}
	}
}

// FuzzParse: a URL names a message in a mailbox, or nothing; what is signed is the
// beginning of what came.
func FuzzParse(f *testing.F) {
	f.Add("imap://ada@demo.test/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.5.MIME;expire=2027-01-02T03:04:05Z;urlauth=user+ben:internal:91354a473744909de610943775f92038")
	f.Add("imap://demo.test/INBOX/;UID=1/;PARTIAL=3.5;urlauth=anonymous")
	f.Add("/\u0131\u2c65;uid=7/;SECTION=HEADER")
	f.Add(";UID=1/;PARTIAL=3.5")
	f.Fuzz(func(t *testing.T, link string) {
		if p, ok := ParsePiece(link); ok && (p.UID == 0 || len(p.Path) > 101) {
			t.Errorf("%q is taken: %+v", link, p)
		}
		u, ok := Parse(link)
		if !ok {
			return
		}
		if u.UID == 0 || u.Mailbox == "" || u.Host == "" || !strings.HasPrefix(link, u.Rump) {
			t.Errorf("%q is taken: %+v", link, u)
		}
		if again, ok := Parse(u.Rump); !ok || again.Access != u.Access || again.Mechanism != "" || again.Mailbox != u.Mailbox {
			t.Errorf("what is signed of %q is another URL: %+v", link, again)
		}
	})
}
