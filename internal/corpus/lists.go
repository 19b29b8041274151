package corpus

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"

	"posthouse/mail"
	"posthouse/message"
)

// lists is mailing list mail: a patch series, and the answers to it.
func (g *generator) lists() {
	extra := []string{"List-Id: Posthouse development <dev.lists.example>", "List-Post: <mailto:dev@lists.example>",
		"List-Unsubscribe: <mailto:dev+unsubscribe@lists.example>", "Precedence: list", "Sender: dev-bounces@lists.example"}
	cover := letter{from: linus, to: "dev@lists.example", cc: adaName, subject: "[PATCH v3 0/4] store: make the change log cheap to read",
		at: g.ago(66), id: g.id("haas.example"), extra: extra,
		body: text("Third try, with the comments on v2:\n\n - readers take no lock\n - a page may end inside a transaction\n\n store/log.go | 40 ++++++----\n 3 files changed, 61 insertions(+), 25 deletions(-)\n")}
	g.deliver(cover, "Projects/Posthouse", mail.FlagSeen)
	for i := range 4 {
		l := letter{from: linus, to: "dev@lists.example", cc: adaName, refs: []string{cover.id}, at: g.ago(65.9 - float64(i)/60), extra: extra,
			subject: fmt.Sprintf("[PATCH v3 %d/4] store: %s", i+1, []string{"readers take no lock", "pages end anywhere", "count what was read", "tests"}[i]),
			id:      g.id("haas.example"), body: message.Text("plain", patch(i))}
		g.deliver(l, "Projects/Posthouse")
		if i == 1 {
			g.deliver(letter{from: adaName, to: linus, cc: "dev@lists.example", refs: []string{cover.id, l.id}, at: g.ago(60), subject: "Re: " + l.subject,
				body: text("On Tue, Linus Haas wrote:\n" + quote("+\tpage := l.read(pos, limit)\n") + "\nlimit should be bytes, not entries: one entry can be large.\n\nAda\n")}, "Sent")
		}
	}
	for i, s := range []string{"Meeting on the build", "[dev] freeze on Friday", "Re: [dev] freeze on Friday", "Fwd: [dev] (fwd) numbers (fwd)", "Re[2]: numbers"} {
		g.deliver(letter{from: []string{grace, mei, jose}[i%3], to: "dev@lists.example", cc: []string{adaName, benName}[i%2], subject: s,
			at: g.ago(75 + 11*float64(i)), extra: extra, body: text("Short and to the point.\n\n-- \nsent from a list\n")}, "Projects/Posthouse", mail.FlagSeen)
	}
}

func patch(i int) string {
	return fmt.Sprintf("Signed-off-by: Linus Haas <linus@haas.example>\n---\n store/log.go | 4 ++--\n 1 file changed, 2 insertions(+), 2 deletions(-)\n\n"+
		"diff --git a/store/log.go b/store/log.go\nindex 83db48f..bf2%04d 100644\n--- a/store/log.go\n+++ b/store/log.go\n@@ -%d,4 +%d,4 @@ func (l *log) page(pos Pos) {\n"+
		" \tl.mu.Lock()\n-\tvar a = map[int]int{}\n-\tdefer l.mu.Unlock() \n+\tpage := l.read(pos, limit)\n+\tl.mu.Unlock()\n \treturn page\n-- \n2.43.0\n", i, i*40+1, i*40+1)
}

// reports are what mail servers write: a DMARC report, a bounce, a receipt.
func (g *generator) reports() {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	fmt.Fprintf(w, `<?xml version="1.0"?><feedback><report_metadata><org_name>mailhost.example</org_name><report_id>20261122-1</report_id></report_metadata>`+
		`<policy_published><domain>demo.test</domain><p>reject</p></policy_published><record><row><source_ip>192.0.2.7</source_ip><count>3</count>`+
		`<policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row></record></feedback>`)
	if w.Close() == nil {
		g.deliver(letter{from: "noreply-dmarc@mailhost.example", to: adaName, subject: "Report Domain: demo.test Submitter: mailhost.example Report-ID: <20261122-1>",
			at: g.ago(27), extra: []string{"Auto-Submitted: auto-generated"}, body: g.multipart("mixed", text("This is an aggregate report.\n"),
				message.Attachment("application/gzip", "mailhost.example!demo.test!1764288000!1764374399.xml.gz", gz.Bytes()))}, "Archive", mail.FlagSeen)
	}
	g.bounce()
	g.receipt()
}

// bounce is a DSN, RFC 3464 §2.
func (g *generator) bounce() {
	sent := letter{from: benName, to: "nobody@nowhere.example", subject: "Are you there?", at: g.ago(46), id: g.id("demo.test"), body: text("Hello?\n")}
	original := g.build(&sent)
	g.add(Ben, "Sent", sent.at, original, mail.FlagSeen)
	status := "Reporting-MTA: dns; mx.nowhere.example\r\nArrival-Date: " + sent.at.Format("Mon, 02 Jan 2006 15:04:05 -0700") +
		"\r\n\r\nFinal-Recipient: rfc822; nobody@nowhere.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
	l := letter{from: "Mail Delivery Subsystem <MAILER-DAEMON@mx.nowhere.example>", to: benName, subject: "Undelivered Mail Returned to Sender", at: g.ago(45.9),
		refs: []string{sent.id}, extra: []string{"Auto-Submitted: auto-replied"}, body: message.Multipart("report", g.boundary(), []*message.Entity{
			text("Your message could not be delivered to:\n\n  nobody@nowhere.example: 550 5.1.1 no such user\n"),
			message.Raw("message/delivery-status", "7bit", []byte(status)),
			message.Raw("text/rfc822-headers", "", original[:bytes.Index(original, []byte("\r\n\r\n"))+2]),
		}, message.Param{Name: "report-type", Value: "delivery-status"})}
	raw := bytes.Replace(g.build(&l), []byte("Return-Path: <MAILER-DAEMON@mx.nowhere.example>"), []byte("Return-Path: <>"), 1)
	g.add(Ben, "INBOX", l.at, raw)
}

// receipt is an MDN, RFC 8098 §3.
func (g *generator) receipt() {
	body := message.Multipart("report", g.boundary(), []*message.Entity{text("Your message was displayed.\n"),
		message.Raw("message/disposition-notification", "7bit", []byte("Reporting-UA: mail.example; Mailer 1.0\r\nFinal-Recipient: rfc822;grace@okafor.example\r\n"+
			"Original-Message-ID: <1@demo.test>\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n"))},
		message.Param{Name: "report-type", Value: "disposition-notification"})
	g.deliver(letter{from: grace, to: adaName, subject: "Read: the figures", at: g.ago(190), body: body}, "INBOX", mail.FlagSeen)
}

// ordinary is what fills a mailbox.
func (g *generator) ordinary() {
	senders := []string{grace, linus, mei, jose, priya, aoife, "Parcels <no-reply@parcels.example>", "Build <ci@build.example>", "Rail <tickets@rail.example>"}
	subjects := []string{"Invoice 2026-118", "Re: contract draft", "Your parcel is on its way", "Minutes from Tuesday", "Password reset",
		"Weekly report", "Build failed: main #4821", "Security alert: new sign-in", "Welcome to the choir", "Flight confirmation LIS–OPO",
		"Two-factor code 481223", "Question about the schema", "Re: Re: keys", "Dentist on Monday", "Rent for December"}
	for i := range 110 {
		account, name, box := Ada, adaName, "INBOX"
		if i%3 == 2 {
			account, name = Ben, benName
		}
		if i%7 == 5 {
			box = "Archive"
		}
		from, subject := senders[g.rnd.IntN(len(senders))], subjects[g.rnd.IntN(len(subjects))]
		body := text(fmt.Sprintf("Hello %s,\n\nThis is about “%s”. %s\n\nRegards,\n%s\n", strings.Fields(name)[0], subject,
			strings.Repeat("Some ordinary text that gives the preview line something to show. ", 1+g.rnd.IntN(5)), mailboxes(from)[0].Name))
		if g.rnd.IntN(7) == 0 {
			body = g.multipart("mixed", body, message.Attachment("application/pdf", "document.pdf", pdf(subject)))
		}
		l := letter{from: from, to: name, subject: subject, at: g.ago(84 + float64(i)*7 + g.rnd.Float64()), body: body}
		var flags []mail.Flag
		if g.rnd.IntN(5) > 0 {
			flags = append(flags, mail.FlagSeen)
		}
		if g.rnd.IntN(12) == 0 {
			flags = append(flags, mail.FlagFlagged)
		}
		g.add(account, box, l.at, g.build(&l), flags...)
	}
}
