package delivery

import (
	"context"
	"strconv"

	"posthouse/mailauth/arc"
	"posthouse/mailauth/authres"
	"posthouse/message"
)

// checkARC notes whether the chain of those who handed the message on holds, RFC
// 8617. By itself it proves nothing good or bad; checkDMARC asks it for sealers that
// are trusted.
var checkARC = stage{name: "arc",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		f := t.findings(ctx, h)
		if f == nil || f.arc.Status == arc.None {
			return Verdict{}
		}
		c := authres.Clause{Method: "arc", Result: f.arc.Status.String(), Reason: f.arc.Reason}
		if n := len(f.arc.Seals); n > 0 {
			c.Comment = "i=" + strconv.Itoa(n) + " by " + f.arc.Seals[n-1].Domain
		}
		if t.sess.Remote.IsValid() {
			c.Props = []authres.Prop{{Type: "smtp", Name: "remote-ip", Value: t.sess.Remote.Unmap().WithZone("").String()}}
		}
		return note(c)
	},
}
