package delivery

import (
	"context"
	"errors"
	"strings"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/smtp/wire"
)

var (
	replyNullMX     = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 27}, Text: "The domain of the sender takes no mail (null MX), so nobody could answer"}
	replyNoSender   = mail.Reply{Code: 450, Enhanced: [3]uint8{4, 1, 8}, Text: "The domain of the sender is not found in DNS, so nobody could answer"}
	senderOK        = mail.Finding{Check: "sender", Result: "pass"}
	senderNullMX    = mail.Finding{Check: "sender", Result: "fail", Text: "the domain takes no mail (null MX)", Weight: 10}
	senderAbsent    = mail.Finding{Check: "sender", Result: "fail", Text: "the domain is not found in DNS", Weight: 5}
	senderTempError = mail.Finding{Check: "sender", Result: "temperror", Text: "DNS does not answer"}
)

// checkSender refuses mail to whose sender no reply or report could go: with a null MX
// for good (RFC 7505 §4.2), without any address in DNS for now, for that may be a
// mistake of an hour. Who only marks takes it.
var checkSender = stage{name: "sender",
	envelope: func(_ context.Context, t *Transaction) Verdict {
		f := t.found.sender
		if f.Check == "" {
			return Verdict{}
		}
		v := Verdict{Findings: []mail.Finding{f}}
		switch {
		case t.s.opts.Checks.Mode == MarkOnly:
		case f == senderNullMX:
			v.Action, v.Reply = Reject, replyNullMX
		case f == senderAbsent:
			v.Action, v.Reply = Defer, replyNoSender
		}
		return v
	},
}

// lookUpSender finds whether the domain of a reverse-path can take mail, RFC 5321 §5.1.
func lookUpSender(ctx context.Context, r dns.Resolver, a mail.Address) mail.Finding {
	if a.IsNull() || a.Domain == "" || strings.HasPrefix(string(a.Domain), "[") {
		return mail.Finding{}
	}
	domain, err := wire.DomainToASCII(a.Domain)
	if err != nil {
		return senderAbsent
	}
	mx, err := r.LookupMX(ctx, domain)
	switch {
	case err == nil && len(mx.Records) == 1 && mx.Records[0].Host == ".":
		return senderNullMX
	case err == nil:
		return senderOK
	case errors.Is(err, dns.ErrNotExist):
		return senderAbsent
	case !dns.IsAbsent(err):
		return senderTempError
	}
	_, err = r.LookupAddr(ctx, domain)
	switch {
	case err == nil:
		return senderOK
	case dns.IsAbsent(err):
		return senderAbsent
	}
	return senderTempError
}
