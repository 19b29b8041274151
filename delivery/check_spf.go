package delivery

import (
	"context"

	"posthouse/mailauth/authres"
	"posthouse/mailauth/spf"
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
		v := note(c)
		if _, trusted := f.arc.Trusted(t.s.opts.Checks.believes, passedDMARC); !trusted {
			v.Weight = spfWeights[f.spf.Status]
		}
		return v
	},
}

// spfWeights are of what a domain says about a client: little, for forwarded mail fails
// too.
var spfWeights = map[spf.Status]int{spf.Fail: 3, spf.SoftFail: 1}
