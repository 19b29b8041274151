package delivery

import (
	"context"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/smtp/wire"
)

var (
	replyNoFrom   = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 6, 0}, Text: "The message needs exactly one From field"}
	replyBadFrom  = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "You may not send with this From field"}
	replyBadSends = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "You may not send with this Sender field"}
)

// checkFrom keeps accounts from writing in the name of others: every address of
// From, and that of Sender, must be their own (RFC 6409 §6.1 leaves this to us). A
// second From field, or one that does not parse, is what forgers send: readers
// disagree about which one counts.
var checkFrom = stage{name: "from",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		if t.sess.Origin != FromSubmission {
			return Verdict{}
		}
		if h.Count("From") != 1 || h.Count("Sender") > 1 {
			return reject(replyNoFrom)
		}
		if v := t.ownsAll(ctx, h.Addresses("From"), replyBadFrom); v.Action != Accept {
			return v
		}
		if !h.Has("Sender") {
			return Verdict{}
		}
		return t.ownsAll(ctx, h.Addresses("Sender"), replyBadSends)
	},
}

// ownsAll accepts only if there is an address and each belongs to the account.
func (t *Transaction) ownsAll(ctx context.Context, list []message.Mailbox, no mail.Reply) Verdict {
	for _, m := range list {
		d, err := wire.ParseDomain(string(m.Address.Domain))
		if m.Group || err != nil {
			return reject(no)
		}
		ok, err := t.s.opts.Directory.MaySend(ctx, t.sess.Account.ID, mail.Address{Local: m.Address.Local, Domain: d})
		if err != nil {
			return t.deferFor("from", err)
		}
		if !ok {
			return reject(no)
		}
	}
	if len(list) == 0 {
		return reject(no)
	}
	return Verdict{}
}
