package delivery

import (
	"context"
	"strings"

	"posthouse/mail"
	"posthouse/message"
)

// checkList keeps off mailing lists what would go in circles: what they sent themselves,
// and answers that no person wrote (RFC 3834 §2).
var checkList = stage{name: "list",
	recipient: func(_ context.Context, t *Transaction, h *message.Header, r mail.Recipient) Verdict {
		for i := range t.ways {
			if t.ways[i].list == nil || t.Env.Recipients[i].Address != r.Address {
				continue
			}
			for id := range h.RawValues("List-Id") {
				if t.sess.Origin != FromSubmission && strings.Contains(strings.ToLower(string(id)), "<"+listID(r.Address)+">") {
					return reject(replyLoop)
				}
			}
			if word, _, _ := strings.Cut(h.Value("Auto-Submitted"), ";"); strings.EqualFold(strings.TrimSpace(word), "auto-replied") {
				return Verdict{Action: Discard}
			}
		}
		return Verdict{}
	},
}
