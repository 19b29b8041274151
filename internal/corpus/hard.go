package corpus

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"posthouse/mail"
)

// A Case is a hard message with a name that says what is hard about it.
type Case struct {
	Name string
	Raw  []byte
	SMTP bool // an SMTP server may take it as it is: CRLF line ends, no NUL, lines of at most 998 bytes
}

// head is the header of most hard cases.
const head = "From: a@hard.example\r\nTo: " + Ada + "\r\nSubject: %s\r\nDate: Mon, 23 Nov 2026 06:00:00 +0000\r\nMessage-ID: <%s@hard.example>\r\n"

// Hard returns the messages that must come out of the store, and through every
// protocol that can carry them, byte for byte as they went in.
func Hard() []Case {
	var cs []Case
	add := func(name, rest string) {
		cs = append(cs, Case{Name: name, Raw: []byte(fmt.Sprintf(head, name, name) + rest)})
	}
	add("plain", "\r\nHello\r\n")
	add("empty-body", "\r\n")
	add("header-only", "")
	add("no-final-newline", "\r\nThe last line has no end")
	add("only-newlines", "\r\n\r\n\r\n\r\n")
	add("dots", "\r\n.\r\n..\r\n.. two\r\n.leading\r\n\r\n.\r\n")
	add("8bit", "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+allBytes(0x80, 0xff)+"\r\n")
	add("utf-8", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nZażółć gęślą jaźń 🦆 日本語\r\n")
	add("utf-8-headers", "X-Name: Zażółć 🦆\r\n\r\nHello\r\n")
	add("controls", "\r\n"+strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(allBytes(1, 31))+"\x7f\r\n")
	add("nul", "Content-Transfer-Encoding: binary\r\n\r\nbefore\x00after\x00\x00\r\n")
	add("binary", "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"+allBytes(0, 255)+allBytes(0, 255))
	add("long-line", "\r\n"+strings.Repeat("0123456789", 9000)+"\r\n")
	add("line-998", "\r\n"+strings.Repeat("x", 998)+"\r\n")
	add("long-header", "X-Long: "+strings.Repeat("folded words\r\n ", 4000)+"end\r\n\r\nHello\r\n")
	add("many-headers", strings.Repeat("X-Many: yes\r\n", 900)+"\r\nHello\r\n")
	add("bare-lf", "X-Bare: 1\n\nbare\nline\nfeeds\n")
	add("bare-cr", "\r\nbare\rcarriage\rreturns\r\n")
	add("mixed-line-ends", "\r\ncrlf\r\nlf\ncr\rcrlf\r\n\n\r\n")
	add("from-lines", "\r\nFrom here\r\n>From there\r\n>>From\r\n")
	add("spaces", "\r\n  \r\ntrailing   \r\n\ttab\t\r\n \r\n")
	add("dash-lines", "\r\n--\r\n-- \r\n---\r\n--b--\r\n")
	add("imap-look-alike", "\r\n{5}\r\n{5+}\r\na1 LOGOUT\r\n) OK\r\n* BYE\r\n")
	add("large-1mb", "\r\n"+strings.Repeat(strings.Repeat("y", 76)+"\r\n", 13_500))
	for name, raw := range map[string]string{"empty": "", "no-header": "\r\nNo header at all.\r\n",
		"only-a-line": "no colon, no line end", "one-newline": "\r\n",
		"mbox-from": "From a@hard.example Mon Nov 23 06:00:00 2026\r\nSubject: mbox\r\n\r\nHello\r\n"} {
		cs = append(cs, Case{Name: name, Raw: []byte(raw)})
	}
	for _, b := range brokenMIME {
		cs = append(cs, Case{Name: b.name, Raw: b.raw()})
	}
	for i := range cs {
		cs[i].SMTP = smtpSafe(cs[i].Raw)
	}
	slices.SortFunc(cs, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cs
}

// smtpSafe reports whether every line ends with CRLF and is at most 998 bytes
// long, and no other CR, LF or NUL is there.
func smtpSafe(raw []byte) bool {
	for line := range bytes.Lines(raw) {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || len(text) > 998 || bytes.ContainsAny(text, "\x00\r") {
			return false
		}
	}
	return len(raw) > 0
}

func allBytes(from, to int) string {
	var b bytes.Buffer
	for c := from; c <= to; c++ {
		b.WriteByte(byte(c))
	}
	return b.String()
}

// A brokenMessage is MIME that breaks its rules. Line ends are LF here.
type brokenMessage struct{ name, header, body string }

func (m *brokenMessage) raw() []byte {
	return []byte(fmt.Sprintf(head, "Broken: "+m.name, m.name) + strings.ReplaceAll("MIME-Version: 1.0\n"+m.header+"\n"+m.body, "\n", "\r\n"))
}

var brokenMIME = []brokenMessage{
	{"no-boundary", "Content-Type: multipart/mixed\n", "--what\n\nNobody knows where the parts begin.\n--what--\n"},
	{"never-closed", "Content-Type: multipart/mixed; boundary=b\n", "--b\n\nThe last boundary is missing.\n--b\nContent-Type: text/html\n\n<p>Here too."},
	{"no-parts", "Content-Type: multipart/mixed; boundary=b\n", "There is no part at all.\n"},
	{"same-boundary", "Content-Type: multipart/mixed; boundary=b\n", "--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\ninner or outer?\n--b--\n--b\n\nand now?\n--b--\n"},
	{"prefix-boundary", "Content-Type: multipart/mixed; boundary=ab\n", "--ab\nContent-Type: multipart/alternative; boundary=abc\n\n--abc\n\none\n--abc--\n--ab\n\ntwo\n--ab--\n"},
	{"bad-base64", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n", "SGVsbG8*IHdvcmxk-\nIQ=\n=\nnot base64 at all!\n"},
	{"bad-qp", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n", "caf=C3=A9 =XY = \n100 =3d =\nsoft=\n\nend="},
	{"bad-charset", "Content-Type: text/plain; charset=\"utf-8\n\"\n", "caf\xe9\n"},
	{"bad-type", "Content-Type: text\nContent-Type: image/png\n", "Which type counts?\n"},
	{"garbage-type", "Content-Type: ;;;=\"\n", "No type.\n"},
	{"header-without-colon", "this line is no field\nContent-Type: text/html\n", "<p>But the next line is one.</p>\n"},
	{"header-in-body", "Content-Type: multipart/mixed; boundary=b\n", "--b\nThis part has no empty line\nbefore its text.\n--b--\n"},
	{"two-subjects", "Subject: second\nFrom: other@hard.example\n", "Which one is shown?\n"},
	{"bad-addresses", "Cc: , ;, <>, a b c, @nowhere, \"unclosed <x@y.example>, z@\nReply-To: undisclosed-recipients:;\n", "Addresses.\n"},
	{"bad-words", "X-A: =?utf-8?Q?unclosed\nX-B: =?utf-8?X?what?= =?bogus?B?!!!?=\nComments: =?utf-8?B?w6k?==?utf-8?B?w6k?=\n", "Words.\n"},
	{"bad-date", "Date: tomorrow, perhaps\n", "No date that counts.\n"},
	{"uuencode", "", "begin 644 hello.txt\n&:&5L;&\\*\n`\nend\n"},
	{"nested-never-closed", "Content-Type: multipart/mixed; boundary=o\n", "--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\nContent-Type: message/rfc822\n\nSubject: cut\nContent-Type: multipart/mixed; boundary=d\n\n--d\n\ntext\n--o\n\nback outside\n--o--\n"},
	{"rfc822-in-base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n", "U3ViamVjdDogaGlkZGVuDQoNCnRleHQNCg==\n"},
	{"empty-rfc822", "Content-Type: multipart/mixed; boundary=b\n", "--b\nContent-Type: message/rfc822\n\n--b--\n"},
}

// broken delivers the broken messages, for clients to show what they can.
func (g *generator) broken() {
	for i := range brokenMIME {
		at := g.ago(250 + float64(i))
		account := []string{Ada, Ben}[i%2]
		g.add(account, "INBOX", at, brokenMIME[i].raw(), mail.FlagSeen)
	}
}
