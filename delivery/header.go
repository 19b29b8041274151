package delivery

import (
	"crypto/tls"
	"strings"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

const deliveredTo = "Delivered-To"

// dateLayout is a date-time of RFC 5322 §3.3.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"

// appendTrace appends what every copy of the message gets: Authentication-Results
// (RFC 8601 §4.1), Received (RFC 5321 §4.4) and the fields that a submission may
// leave to us (RFC 6409 §8.2, §8.3).
func (t *Transaction) appendTrace(dst []byte) []byte {
	if len(t.authResults) > 0 {
		dst = append(dst, "Authentication-Results: "...)
		dst = append(dst, t.s.opts.Hostname...)
		for _, clause := range t.authResults {
			dst = clause.AppendTo(append(dst, ";\r\n\t"...))
		}
		dst = append(dst, "\r\n"...)
	}
	dst = t.appendReceived(dst)
	if t.sess.Origin != FromSubmission {
		return dst
	}
	h := &t.staged.Message().Header
	if !h.Has("Date") {
		dst = append(t.came.AppendFormat(append(dst, "Date: "...), dateLayout), "\r\n"...)
	}
	if !h.Has("Message-ID") {
		dst = append(append(append(dst, "Message-ID: <"...), t.Env.TraceID...), '@')
		dst = append(append(dst, t.s.opts.Hostname...), ">\r\n"...)
	}
	return dst
}

// appendReceived appends the Received field. Everything in it that the peer chose
// was checked by wire or is a literal of ours, so it cannot begin a field.
func (t *Transaction) appendReceived(dst []byte) []byte {
	dst = append(dst, "Received: "...)
	if t.sess.Origin != FromServer {
		dst = t.appendPeer(dst)
		dst = append(dst, "\r\n\t"...)
	}
	dst = append(append(dst, "by "...), t.s.opts.Hostname...)
	if with := t.sess.protocol(t.Env.UTF8); with != "" {
		dst = append(append(dst, " with "...), with...)
	}
	if t.Env.TraceID != "" {
		dst = append(append(dst, " id "...), t.Env.TraceID...)
	}
	if s := t.sess.TLS; s != nil {
		dst = append(append(dst, "\r\n\t("...), tls.VersionName(s.Version)...)
		dst = append(append(dst, ' '), tls.CipherSuiteName(s.CipherSuite)...)
		dst = append(dst, ')')
	}
	// Named only if there is one: the recipients do not know of each other.
	if len(t.Env.Recipients) == 1 {
		before := len(dst)
		var err error
		if dst, err = wire.AppendPath(append(dst, "\r\n\tfor "...), t.Env.Recipients[0].Address, t.Env.UTF8); err != nil {
			dst = dst[:before]
		}
	}
	dst = t.came.AppendFormat(append(dst, ";\r\n\t"...), dateLayout)
	return append(dst, "\r\n"...)
}

// appendPeer appends From-domain with its TCP-info, RFC 5321 §4.4.
func (t *Transaction) appendPeer(dst []byte) []byte {
	hello := t.sess.Hello
	if hello == "" {
		hello = "unknown"
	}
	dst = append(append(dst, "from "...), hello...)
	if t.sess.Remote.IsValid() {
		dst = append(append(dst, " ("...), wire.Literal(t.sess.Remote)...)
		dst = append(dst, ')')
	}
	return dst
}

// protocol is the "with" keyword, RFC 3848 and RFC 6531 §4.3.
func (s *Session) protocol(utf8 bool) string {
	var name string
	switch {
	case s.Origin == FromServer:
		return ""
	case s.Origin == FromLMTP:
		name = "LMTP"
	case !s.Extended:
		return "SMTP"
	default:
		name = "ESMTP"
	}
	if utf8 {
		name = "UTF8" + strings.TrimPrefix(name, "E")
	}
	if s.TLS != nil {
		name += "S"
	}
	if s.Account != nil {
		name += "A"
	}
	return name
}

// appendFinal appends what a mailbox copy for recipient r gets above the trace:
// Return-Path (RFC 5321 §4.4) and Delivered-To (RFC 9228 §4); for the members of a list
// its address and fields.
func (t *Transaction) appendFinal(dst []byte, r mail.Recipient, list *directory.List) []byte {
	from := t.Env.ReversePath
	if list != nil {
		from = r.Address
	}
	dst = append(t.appendAddress(append(dst, "Return-Path: <"...), from), ">\r\n"...)
	dst = t.appendDeliveredTo(dst, r)
	if list != nil {
		dst = t.appendList(dst, list, r.Address)
	}
	return dst
}

func (t *Transaction) appendDeliveredTo(dst []byte, r mail.Recipient) []byte {
	dst = append(append(dst, deliveredTo...), ": "...)
	return append(t.appendAddress(dst, r.Address), "\r\n"...)
}

// spell is appendAddress, alone.
func (t *Transaction) spell(a mail.Address) string { return string(t.appendAddress(nil, a)) }

// appendAddress writes an address for the header: in ASCII where the message did not come
// with SMTPUTF8 and that is possible.
func (t *Transaction) appendAddress(dst []byte, a mail.Address) []byte {
	if !t.Env.UTF8 && !a.IsASCII() {
		if d, err := wire.DomainToASCII(a.Domain); err == nil {
			a.Domain = mail.Domain(d)
		}
	}
	return a.AppendTo(dst)
}
