package delivery

import (
	"bytes"
	"context"
	"strings"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/smtp/wire"
)

// maxReturnedHeader bounds the header that a report gives back.
const maxReturnedHeader = 64 << 10

// action is the Action field (RFC 3464 §2.3.3) of a recipient that was served; ""
// if others report: the queue, or the server of the one address that an alias
// stands for (RFC 3461 §5.2.7.2).
func (w *way) action() string {
	switch {
	case len(w.remote) == 0 || w.list != nil: // a list's members are its own matter, RFC 3461 §5.2.7.4
		return "delivered"
	case w.expands():
		return "expanded"
	}
	return ""
}

// expands reports an alias with several addresses, RFC 3461 §5.2.7.3.
func (w *way) expands() bool {
	return w.alias && len(w.remote) > 0 && len(w.remote)+len(w.accounts) > 1
}

// report tells a sender who wants to know (NOTIFY=SUCCESS) that we have delivered
// (RFC 3461 §5.2.3). It is a message of its own, after the fact: the delivery does
// not depend on it. Only who has logged in is told: anybody else could have the
// report sent to a victim (docs/decisions/0062-no-success-reports-to-strangers.md).
// Behind LMTP the server in front of us reports.
func (t *Transaction) report(ctx context.Context, stored []int) {
	if t.sess.Origin != FromSubmission || t.Env.ReversePath.IsNull() {
		return
	}
	var fields, list []byte
	for _, i := range stored {
		r, action := &t.Env.Recipients[i], t.ways[i].action()
		if r.Notify&mail.NotifySuccess == 0 || action == "" {
			continue
		}
		fields = appendReported(fields, r, action)
		list = append(append(append(list, "\n  "...), r.Address.String()...), '\n')
	}
	if len(list) == 0 {
		return
	}
	content, err := t.appendReport(nil, list, fields)
	if err == nil {
		to := mail.Recipient{Address: t.Env.ReversePath, Notify: mail.NotifyNever}
		err = t.s.Inject(ctx, mail.Envelope{Recipients: []mail.Recipient{to}, UTF8: wire.NeedsUTF8(to.Address), TraceID: t.Env.TraceID + "-dsn"}, content, nil)
	}
	if err != nil {
		t.fault("report", err)
	}
}

// appendReported appends the fields of one recipient, RFC 3464 §2.3.
func appendReported(dst []byte, r *mail.Recipient, action string) []byte {
	dst = append(dst, "\r\n"...)
	if r.Original != "" {
		dst = appendTyped(append(dst, "Original-Recipient: "...), r.Original)
	}
	dst = appendTyped(append(dst, "Final-Recipient: "...), originalOf(r.Address))
	dst = append(append(dst, "Action: "...), action...)
	return append(dst, "\r\nStatus: 2.1.5\r\n"...)
}

// appendTyped appends "type;address" in ASCII, RFC 6533 §3.
func appendTyped(dst []byte, original string) []byte {
	typ, address, _ := strings.Cut(original, ";")
	if strings.ContainsFunc(address, func(r rune) bool { return r > '~' }) {
		typ, address, _ = strings.Cut(string(wire.AppendORCPT(nil, "utf-8;"+address, false)), ";")
	}
	return append(append(append(append(dst, typ...), "; "...), address...), "\r\n"...)
}

// appendReport appends the whole report, RFC 3464 §2.
func (t *Transaction) appendReport(dst, list, recipients []byte) ([]byte, error) {
	o := &t.s.opts
	boundary, err := message.NewBoundary(o.Rand)
	if err != nil {
		return nil, err
	}
	id, err := message.NewMessageID(o.Rand, t.came, o.Hostname)
	if err != nil {
		return nil, err
	}
	fields := []byte("Reporting-MTA: dns; " + o.Hostname + "\r\n")
	if t.Env.EnvID != "" {
		fields = append(append(append(fields, "Original-Envelope-Id: "...), t.Env.EnvID...), "\r\n"...)
	}
	fields = t.came.AppendFormat(append(fields, "Arrival-Date: "...), dateLayout)
	fields = append(append(fields, "\r\n"...), recipients...)
	header := t.staged.Message().Header.Raw()
	if len(header) > maxReturnedHeader {
		header = header[:bytes.LastIndexByte(header[:maxReturnedHeader], '\n')+1]
	}
	encoding := "7bit"
	if bytes.ContainsFunc(header, func(r rune) bool { return r > '~' }) {
		encoding = "8bit"
	}
	m := message.Multipart("report", boundary, []*message.Entity{
		message.Text("plain", "This is the mail server "+o.Hostname+".\n\nYour message was delivered to these recipients, or passed on for them.\n"+string(list)),
		message.Raw("message/delivery-status", "7bit", fields),
		message.Raw("text/rfc822-headers", encoding, header),
	}, message.Param{Name: "report-type", Value: "delivery-status"})
	m.SetAddresses("From", message.Mailbox{Name: "Mail Delivery System", Address: mail.Address{Local: "MAILER-DAEMON", Domain: mail.Domain(o.Hostname)}})
	m.SetAddresses("To", message.Mailbox{Address: t.Env.ReversePath})
	m.Set("Subject", "Successful Mail Delivery Report")
	m.SetDate("Date", t.came)
	m.SetRaw("Message-ID", id)
	m.SetRaw("Auto-Submitted", "auto-replied") // RFC 3834 §5
	return m.Append(dst), nil
}
