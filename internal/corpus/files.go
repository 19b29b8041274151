package corpus

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"iter"
	"strings"

	"posthouse/mail"
	"posthouse/message"
)

// lines yields the lines of s without their ends.
func lines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(s) {
			if !yield(strings.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}

// picture makes a small PNG with a gradient.
func picture(w, h int, c color.RGBA) []byte {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{c.R / 2, uint8(int(c.G) * x / w), uint8(int(c.B) * y / h), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil { // a bytes.Buffer does not fail
		return nil
	}
	return b.Bytes()
}

// pdf makes a PDF of one page with a line of text.
func pdf(line string) []byte {
	content := "BT /F1 24 Tf 72 720 Td (" + line + ") Tj ET"
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, a := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// files are the messages with attachments of all sorts.
func (g *generator) files() {
	g.invitation()
	photos := []*message.Entity{text("A few photos from Saturday. The blue one is the best.\n\nMei\n")}
	for i, c := range []color.RGBA{{90, 140, 200, 255}, {200, 120, 80, 255}, {120, 180, 110, 255}} {
		photos = append(photos, message.Attachment("image/png", fmt.Sprintf("workshop-%d.png", i+1), picture(160, 100, c)))
	}
	g.deliver(letter{from: mei, to: adaName + ", " + benName, subject: "Photos from the workshop 📷", at: g.ago(20),
		body: g.multipart("mixed", photos...)}, "INBOX")
	g.deliver(letter{from: priya, to: adaName, subject: "Chart for the deck", at: g.ago(25),
		body: g.multipart("related", g.multipart("alternative", text("[chart]\n\nPriya\n"),
			message.Text("html", `<p>Inline chart below:</p><img src="cid:c1@raman.example"><p>Priya</p>`)),
			message.Inline("image/png", "c1@raman.example", picture(210, 100, color.RGBA{60, 160, 240, 255})))}, "INBOX")
	g.deliver(letter{from: linus, to: benName, subject: "Minutes and everything", at: g.ago(90), body: g.multipart("mixed",
		text("Minutes, the spreadsheet, and my card.\n\nLinus\n"),
		message.Attachment("text/csv", "budget 2026.csv", []byte("month,planned,spent\r\nOctober,1200,1311.50\r\nNovember,1200,987.20\r\n")),
		message.Attachment("application/pdf", "minutes.pdf", pdf("Minutes of Tuesday")),
		message.Attachment("text/vcard", "linus.vcf", []byte("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Linus Haas\r\nEMAIL:linus@haas.example\r\nEND:VCARD\r\n")),
		message.Attachment("application/zip", "archive.zip", []byte("PK\x05\x06"+strings.Repeat("\x00", 18))))}, "INBOX", mail.FlagSeen, mail.FlagFlagged)
	g.deliver(letter{from: mei, to: adaName, subject: "来週の会議について", at: g.ago(31), body: g.multipart("mixed",
		text("アダ様\n\n来週の会議の資料を添付します。\n\n田中\n"),
		message.Attachment("application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"会議資料—とても長い名前のファイルで折り返しが必要になるもの.docx", bytes.Repeat([]byte("x"), 2048)))}, "INBOX")
	g.deliver(letter{from: benName, to: adaName, subject: "name in the old style", at: g.ago(98), body: g.multipart("mixed",
		text("The file name is an encoded word inside a parameter, as older mailers write it.\n"),
		message.Raw(`application/octet-stream; name="=?iso-8859-1?Q?=DCbersicht.bin?="`, "base64", []byte("3q2+7w==\r\n")))}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: grace, to: adaName, subject: "Only a file", at: g.ago(115),
		body: message.Attachment("application/pdf", "contract.pdf", pdf("Contract"))}, "INBOX", mail.FlagSeen)
	g.forwarded()
	g.signed()
	g.draft()
}

const calendar = "BEGIN:VCALENDAR\r\nPRODID:-//Example//Calendar//EN\r\nVERSION:2.0\r\nMETHOD:%s\r\nBEGIN:VEVENT\r\nUID:abc-123@okafor.example\r\n" +
	"DTSTAMP:%s\r\nDTSTART:%s\r\nDTEND:%s\r\nSUMMARY:Budget review Q1\r\nLOCATION:Room 4 / https://meet.example/x\r\n" +
	"ORGANIZER;CN=Grace Okafor:mailto:grace@okafor.example\r\nATTENDEE;CN=Ada;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:" + Ada + "\r\n" +
	"ATTENDEE;CN=Ben;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:" + Ben + "\r\nSEQUENCE:%d\r\nSTATUS:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

// invitation is an iMIP request (RFC 6047 §2) and its cancellation.
func (g *generator) invitation() {
	const stamp = "20060102T150405Z"
	start := g.ago(-72).UTC()
	for i, method := range []string{"REQUEST", "CANCEL"} {
		status := []string{"CONFIRMED", "CANCELLED"}[i]
		ics := fmt.Sprintf(calendar, method, g.now.UTC().Format(stamp), start.Format(stamp), start.Add(3600e9).Format(stamp), i, status)
		subject := []string{"Invitation: Budget review Q1", "Cancelled: Budget review Q1"}[i]
		g.deliver(letter{from: grace, to: adaName + ", " + benName, subject: subject, at: g.ago(8 - 3*float64(i)), body: g.multipart("mixed",
			g.multipart("alternative", text(subject+"\n"), message.Text("calendar", ics, message.Param{Name: "method", Value: method})),
			message.Attachment("application/ics", "invite.ics", []byte(ics)))}, "INBOX")
	}
}

// forwarded are messages inside messages.
func (g *generator) forwarded() {
	inner := g.build(&letter{from: linus, to: grace, subject: "The contract — final", at: g.ago(140), body: g.multipart("mixed",
		text("Signed and scanned.\n\nLinus\n"), message.Attachment("application/pdf", "contract-signed.pdf", pdf("Signed")))})
	g.deliver(letter{from: grace, to: adaName, subject: "Fwd: The contract — final", at: g.ago(44), body: g.multipart("mixed",
		text("See the attached message.\n\nGrace\n"), message.Raw("message/rfc822", "", inner))}, "INBOX", mail.FlagSeen, flagForwarded)
	deep := []byte("From: first@chain.example\r\nSubject: the first of them\r\n\r\nDo not break the chain!\r\n")
	for i := range 6 {
		deep = message.Raw("message/rfc822", "", deep).SetAddresses("From", mailboxes(fmt.Sprintf("n%d@chain.example", i))...).
			Set("Subject", fmt.Sprintf("Fwd: chain letter, link %d", i)).Append(nil)
	}
	g.deliver(letter{from: aoife, to: benName, subject: "Fwd: chain letter", at: g.ago(160), body: g.multipart("mixed",
		text("Seven deep. Who does this?\n"), message.Raw("message/rfc822", "", deep))}, "INBOX")
	g.deliver(letter{from: "digest@lists.example", to: adaName, subject: "gardeners Digest, Vol 12, Issue 3", at: g.ago(180),
		extra: []string{"List-Id: <gardeners.lists.example>"}, body: g.multipart("mixed", text("Today's topics:\n\n 1. Slugs\n 2. Re: Slugs\n"),
			g.multipart("digest", digestItem(g, grace, "Slugs", "They ate the lettuce."), digestItem(g, mei, "Re: Slugs", "Mine too.")))}, "INBOX", mail.FlagSeen)
}

func digestItem(g *generator, from, subject, body string) *message.Entity {
	inner := g.build(&letter{from: from, to: "gardeners@lists.example", subject: subject, at: g.ago(182), body: text(body + "\n")})
	return message.Raw("message/rfc822", "", inner)
}

// signed are messages in the forms of OpenPGP and S/MIME; the signatures are
// none.
func (g *generator) signed() {
	armor := "-----BEGIN PGP SIGNATURE-----\r\n\r\niHUEABYKAB0WIQTdemodemodemodemodemodemodemoFAmVxample0ACgkQdemo\r\n=demo\r\n-----END PGP SIGNATURE-----\r\n"
	g.deliver(letter{from: aoife, to: adaName, subject: "signed", at: g.ago(210), body: message.Multipart("signed", g.boundary(),
		[]*message.Entity{text("This is signed.\n\n-- \nAoife\n"), message.Raw("application/pgp-signature; name=signature.asc", "7bit", []byte(armor))},
		message.Param{Name: "micalg", Value: "pgp-sha512"}, message.Param{Name: "protocol", Value: "application/pgp-signature"})}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: linus, to: benName, subject: "encrypted", at: g.ago(230), body: message.Attachment("application/pkcs7-mime; smime-type=enveloped-data",
		"smime.p7m", bytes.Repeat([]byte{0x30, 0x82, 0x01}, 300))}, "INBOX", mail.FlagSeen)
	g.deliver(letter{from: priya, to: adaName, subject: "inline PGP", at: g.ago(240),
		body: text("-----BEGIN PGP MESSAGE-----\n\nhQEMA5vdemodemoAQf/\n=demo\n-----END PGP MESSAGE-----\n")}, "INBOX", mail.FlagSeen)
}

func (g *generator) draft() {
	l := letter{from: adaName, to: grace, subject: "Re: Offsite in Porto — dates and rooms", at: g.ago(2), body: text("Dear Grace,\n\n")}
	g.add(Ada, "Drafts", l.at, g.build(&l), mail.FlagDraft, mail.FlagSeen)
	bcc := letter{from: benName, subject: "", at: g.ago(5), extra: []string{"Bcc: secret@okafor.example"}, body: text("Nothing yet.\n")}
	g.add(Ben, "Drafts", bcc.at, g.build(&bcc), mail.FlagDraft, mail.FlagSeen)
	gone := letter{from: linus, to: adaName, subject: "Wrong list, sorry", at: g.ago(77), body: text("Please ignore.\n")}
	g.add(Ada, "Trash", gone.at, g.build(&gone), mail.FlagSeen)
}
