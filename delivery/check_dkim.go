package delivery

import (
	"context"

	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
	"posthouse/message"
)

// checkDKIM notes which signatures hold, RFC 6376. A broken one is as good as none
// (RFC 6376 §6.1).
var checkDKIM = stage{name: "dkim",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		f := t.findings(ctx, h)
		if f == nil {
			return Verdict{}
		}
		if len(f.dkim) == 0 {
			return note(authres.Clause{Method: "dkim", Result: dkim.None.String()})
		}
		clauses := make([]authres.Clause, len(f.dkim))
		for i, r := range f.dkim {
			clauses[i] = authres.Clause{Method: "dkim", Result: r.Status.String(), Reason: r.Reason, Props: []authres.Prop{
				{Type: "header", Name: "d", Value: r.Domain}, {Type: "header", Name: "i", Value: r.Identity}, {Type: "header", Name: "s", Value: r.Selector},
				{Type: "header", Name: "a", Value: r.Algorithm}, {Type: "header", Name: "b", Value: r.B},
			}}
			if r.Testing {
				clauses[i].Comment = "the domain is testing"
			}
		}
		return note(clauses...)
	},
}
