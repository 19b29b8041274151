package delivery

import (
	"context"
	"strings"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/smtp/wire"
)

var replyLoop = mail.Reply{Code: 554, Enhanced: [3]uint8{5, 4, 6}, Text: "This message is going in circles"}

// checkLoop ends mail loops: too many hops for anyone (RFC 5321 §6.3), or a
// recipient to whom we have delivered the same message before. What an account of
// ours hands in it may send to whom it likes again.
var checkLoop = stage{name: "loop",
	message: func(_ context.Context, t *Transaction, h *message.Header) Verdict {
		if h.Count("Received") > t.s.opts.Limits.Hops {
			return reject(replyLoop)
		}
		return Verdict{}
	},
	recipient: func(_ context.Context, t *Transaction, h *message.Header, r mail.Recipient) Verdict {
		if t.sess.Origin == FromSubmission || !h.Has(deliveredTo) {
			return Verdict{}
		}
		for _, value := range h.Values(deliveredTo) {
			a, err := wire.ParseAddress(value)
			if err == nil && a.Domain == r.Address.Domain && strings.EqualFold(a.Local, r.Address.Local) {
				return reject(replyLoop)
			}
		}
		return Verdict{}
	},
}
