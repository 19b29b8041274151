package message_test

import (
	"fmt"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/message"
)

// A message is parsed as its bytes arrive, and says where its parts lie.
func ExampleParser() {
	p := message.NewParser(message.Limits{})
	for line := range strings.SplitAfterSeq("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
		"--b\r\n\r\nHello\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n%PDF\r\n--b--\r\n", "\n") {
		p.Write([]byte(line))
	}
	m := p.Close()
	fmt.Println(m.Subject(), m.Preview(), m.HasAttachment())
	r, _ := m.Section([]int{2}, message.SpecAll)
	fmt.Println(r.Len(), "bytes from", r.Start)
	fmt.Printf("%s\n", m.AppendBody(nil))
	// Output:
	// Grüße Hello true
	// 4 bytes from 147
	// (("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 0)("application" "pdf" ("name" "a.pdf") NIL NIL "7bit" 4) "mixed")
}

// A message that we send ourselves.
func ExampleEntity() {
	raw := message.Text("plain", "Ça va ?\n").
		SetAddresses("From", message.Mailbox{Name: "Ada", Address: mail.Address{Local: "ada", Domain: "demo.test"}}).
		Set("Subject", "Où es-tu").
		SetDate("Date", time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)).
		Append(nil)
	fmt.Print(strings.ReplaceAll(string(raw), "\r\n", "\n"))
	// Output:
	// From: Ada <ada@demo.test>
	// Subject: =?utf-8?b?T8O5?= es-tu
	// Date: Mon, 23 Nov 2026 06:00:00 +0000
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: quoted-printable
	//
	// =C3=87a va ?
}
