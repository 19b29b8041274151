package delivery

import (
	"context"
	"strconv"

	"posthouse/mail"
	"posthouse/mailauth/authres"
	"posthouse/message"
)

// Weights of lists at which something is done. A list that the operator trusts alone
// has the first.
const (
	refuseWeight = 10
	junkWeight   = 5
)

// checkDNSBL weighs what the operator's lists say of the client (RFC 5782): 10 and
// more is refused, 5 and more goes to the mailbox for junk.
var checkDNSBL = stage{name: "dnsbl",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		f := t.findings(ctx, h)
		if f == nil || len(f.peer.listed.Zones) == 0 {
			return Verdict{}
		}
		ip := t.sess.Remote.Unmap().WithZone("").String()
		c := authres.Clause{Method: "x-dnsbl", Result: "weight" + strconv.Itoa(f.peer.listed.Weight), Props: []authres.Prop{{Type: "policy", Name: "ip", Value: ip}}}
		worst := f.peer.listed.Zones[0]
		for _, z := range f.peer.listed.Zones {
			c.Props = append(c.Props, authres.Prop{Type: "dns", Name: "zone", Value: z.Name})
			if z.Weight > worst.Weight {
				worst = z
			}
		}
		v := note(c)
		v.Weight = f.peer.listed.Weight
		switch {
		case t.s.opts.Checks.Mode == MarkOnly:
		case f.peer.listed.Weight >= refuseWeight:
			return reject(mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "Mail from " + ip + " is refused: it is listed by " + worst.Name})
		case f.peer.listed.Weight >= junkWeight:
			v.Action, v.Role = FileInto, mail.RoleJunk
		}
		return v
	},
}
