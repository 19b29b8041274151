package delivery

import (
	"context"

	"posthouse/mail"
	"posthouse/message"
)

var (
	replyNoFrom    = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 6, 0}, Text: "The message needs exactly one From field"}
	replyBadFrom   = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "You may not send with this From field"}
	replyBadSender = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "You may not send with this Sender field"}
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
		if v := t.ownsAll(ctx, h.RawValue("From"), replyBadFrom); v.Action != Accept {
			return v
		}
		if !h.Has("Sender") {
			return Verdict{}
		}
		return t.ownsAll(ctx, h.RawValue("Sender"), replyBadSender)
	},
}

// ownsAll accepts only if each address in the value belongs to the account.
func (t *Transaction) ownsAll(ctx context.Context, value []byte, no mail.Reply) Verdict {
	list, ok := parseStrict(value)
	if !ok {
		return reject(no)
	}
	for _, a := range list {
		own, err := t.s.opts.Directory.MaySend(ctx, t.sess.Account.ID, a)
		if err != nil {
			return t.deferFor("from", err)
		}
		if !own {
			return reject(no)
		}
	}
	return Verdict{}
}
