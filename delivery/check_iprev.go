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
		if f == nil || f.peer.iprev.Status == iprev.None {
			return Verdict{}
		}
		v := note(authres.Clause{Method: "iprev", Result: f.peer.iprev.Status.String(), Comment: f.peer.iprev.Name,
			Props: []authres.Prop{{Type: "policy", Name: "iprev", Value: t.sess.Remote.Unmap().WithZone("").String()}}})
		if f.peer.iprev.Status.Bad() {
			v.Weight = iprevWeight
		}
		return v
	},
}

// iprevWeight is of a client without a name: many honest ones have none.
const iprevWeight = 1

// note accepts, and says what was found.
func note(c ...authres.Clause) Verdict { return Verdict{AuthResults: c} }
