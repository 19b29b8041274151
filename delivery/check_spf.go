package delivery

import (
	"context"

	"posthouse/mailauth/authres"
	"posthouse/message"
)

// checkSPF notes what the domain of the reverse-path says of the client, RFC 7208.
// It refuses nothing by itself: a forwarded message fails, and the author's domain
// decides by DMARC what that means.
var checkSPF = stage{name: "spf",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		f := t.findings(ctx, h)
		if f == nil {
			return Verdict{}
		}
		c := authres.Clause{Method: "spf", Result: f.spf.Status.String(), Reason: f.spf.Reason}
		if t.Env.ReversePath.IsNull() {
			c.Props = []authres.Prop{{Type: "smtp", Name: "helo", Value: t.sess.Hello}}
		} else {
			c.Props = []authres.Prop{{Type: "smtp", Name: "mailfrom", Value: t.spell(t.Env.ReversePath)}}
		}
		return note(c)
	},
}
