package delivery

import (
	"context"
	"io"

	"posthouse/mail"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/spf"
	"posthouse/message"
	"posthouse/report"
)

var replyUnsure = mail.Reply{Code: 451, Enhanced: [3]uint8{4, 4, 3}, Text: "DNS does not answer, so the sender cannot be checked; try again later"}

// checkDMARC does what the domain in From wants done with mail that neither SPF nor
// DKIM confirms, RFC 7489:
//
//   - reject: 550, unless a trusted sealer vouches for the message (RFC 8617 §7.2.1).
//   - quarantine: into the mailbox for junk. So does mail without one readable From,
//     of which no domain can be asked.
//   - DNS failed: accepted if the policy is not known; try again later if it says
//     reject and SPF or DKIM could still confirm (RFC 7489 §6.6.2).
//   - two From fields: refused, for readers disagree about which one counts.
var checkDMARC = stage{name: "dmarc",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		f := t.findings(ctx, h)
		if f == nil {
			return Verdict{}
		}
		enforce := t.s.opts.Checks.Mode == Enforce
		if !f.oneFrom {
			if enforce && h.Count("From") > 1 {
				return reject(replyNoFrom)
			}
			v := note(authres.Clause{Method: "dmarc", Result: dmarc.PermError.String(), Reason: "no one author domain"})
			if enforce {
				v.Action, v.Role = FileInto, mail.RoleJunk
			}
			return v
		}
		res, at := f.worst(ctx, t.s.opts.Checks, t.draw())
		v, apply := t.applyDMARC(res, enforce)
		if v.Action != Defer { // it comes again
			t.countDMARC(&f.authors[at], res, apply)
		}
		return v
	},
}

// countDMARC counts the message for the report to the domain whose policy it is.
func (t *Transaction) countDMARC(p *dmarc.Policy, res dmarc.Result, applied dmarc.Disposition) {
	f := t.found
	if len(p.Record.Aggregate)+len(p.Record.Failure) == 0 || t.s.opts.Tally == nil {
		return // nobody wants to know
	}
	e := report.Evaluation{Source: t.sess.Remote, EnvelopeFrom: string(t.Env.ReversePath.Domain), Hello: t.Env.ReversePath.IsNull(),
		Policy: *p, Result: res, Applied: applied, SPF: f.spf, DKIM: f.dkim, Quiet: report.Looks(t.staged.Message()),
		Sender: t.Env.ReversePath, Header: &t.staged.Message().Header}
	switch {
	case res.Sampled:
		e.Reason = "sampled_out"
	case res.Apply > dmarc.Nothing && applied == dmarc.Nothing:
		e.Reason = "local_policy"
		if by, ok := f.arc.Trusted(t.s.opts.Checks.believes, passedDMARC); ok { // RFC 8617 §7.2.2
			e.Comment = "arc=" + f.arc.Status.String() + " d=" + by
		}
	}
	t.s.opts.Tally.RecordDMARC(&e)
}

// applyDMARC makes the verdict of the outcome, and says what is done because of it.
func (t *Transaction) applyDMARC(res dmarc.Result, enforce bool) (Verdict, dmarc.Disposition) {
	c := authres.Clause{Method: "dmarc", Result: res.Status.String(), Props: []authres.Prop{{Type: "header", Name: "from", Value: res.From}}}
	apply := res.Apply
	if res.Status == dmarc.Fail {
		c.Comment = "p=" + res.Policy.String()
		if by, ok := t.found.arc.Trusted(t.s.opts.Checks.believes, passedDMARC); ok && apply > dmarc.Nothing {
			apply = dmarc.Nothing
			c.Reason = "confirmed by the ARC seal of " + by
		}
	}
	v := note(c)
	if res.Status == dmarc.Fail && c.Reason == "" {
		v.Weight = failWeight
	}
	switch {
	case !enforce:
		apply = dmarc.Nothing
	case res.Status == dmarc.TempError && res.Policy == dmarc.Reject:
		v.Action, v.Reply = Defer, replyUnsure
	case apply == dmarc.Reject:
		v.Action, v.Reply = Reject, replyDMARC(res)
	case apply == dmarc.Quarantine:
		v.Action, v.Role = FileInto, mail.RoleJunk
	}
	return v, apply
}

// failWeight is of mail whose author's domain does not stand behind it, but does not
// mind: lists and forwarders of domains that only look on.
const failWeight = 1

func passedDMARC(r authres.Results) bool { return r.Result("dmarc") == dmarc.Pass.String() }

// replyDMARC says why in words that the author can act on.
func replyDMARC(res dmarc.Result) mail.Reply {
	return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "Neither SPF nor DKIM confirms that this message is from " + res.From +
		", and the DMARC policy of " + res.Domain + " says to reject such mail"}
}

// worst judges each domain in From and returns what weighs most, and of which author it
// is: one forged name is enough.
func (f *findings) worst(ctx context.Context, c *Checks, draw int) (worst dmarc.Result, at int) {
	e := dmarc.Evidence{Unsure: f.spf.Status == spf.TempError}
	if f.spf.Status == spf.Pass {
		e.SPF = f.spf.Domain
	}
	for _, r := range f.dkim {
		switch r.Status {
		case dkim.Pass:
			e.DKIM = append(e.DKIM, r.Domain)
		case dkim.TempError:
			e.Unsure = true
		}
	}
	judge := func(ctx context.Context) {
		for i, p := range f.authors {
			if r := p.Judge(ctx, c.Resolver, e, draw); i == 0 || weightOf(r) > weightOf(worst) {
				worst, at = r, i
			}
		}
	}
	if !c.offline(ctx, judge) {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		judge(ctx)
	}
	return worst, at
}

func weightOf(r dmarc.Result) int {
	return int(r.Apply)*10 + [...]int{dmarc.Fail: 4, dmarc.TempError: 3, dmarc.None: 2, dmarc.Pass: 1, dmarc.PermError: 0}[r.Status]
}

// draw is a random number of 0 to 99.
func (t *Transaction) draw() int {
	var b [2]byte
	if _, err := io.ReadFull(t.s.opts.Rand, b[:]); err != nil {
		return 0 // the whole policy
	}
	return (int(b[0])<<8 | int(b[1])) % 100
}
