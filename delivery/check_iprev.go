package delivery

import (
	"context"

	"posthouse/mailauth/authres"
	"posthouse/mailauth/iprev"
	"posthouse/message"
)

// checkIPRev notes whether the client has a name that leads back to it, RFC 8601 §3.
// Nobody is refused for want of one.
var checkIPRev = stage{name: "iprev",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		f := t.findings(ctx, h)
		if f == nil || f.iprev.Status == iprev.None {
			return Verdict{}
		}
		return note(authres.Clause{Method: "iprev", Result: f.iprev.Status.String(), Comment: f.iprev.Name,
			Props: []authres.Prop{{Type: "policy", Name: "iprev", Value: t.sess.Remote.Unmap().WithZone("").String()}}})
	},
}

// note accepts, and says what was found.
func note(c ...authres.Clause) Verdict { return Verdict{AuthResults: c} }
