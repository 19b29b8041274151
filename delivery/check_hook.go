package delivery

import (
	"context"

	"posthouse/hook"
	"posthouse/mail"
	"posthouse/message"
)

// checkHook asks the programs that the operator has put beside us: milters, Rspamd,
// ClamAV. The first that refuses has the last word.
var checkHook = stage{name: "hook",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		var sum Verdict
		var m *hook.Message
		for i := range t.s.opts.Hooks {
			a := &t.s.opts.Hooks[i]
			if !(a.Submitted && t.sess.Origin == FromSubmission || a.Received && t.sess.Origin == FromMX) {
				continue
			}
			if m == nil {
				m = t.hookMessage(ctx, h)
			}
			v, err := a.Ask(ctx, m)
			if err != nil {
				t.s.opts.Logger.Warn("a filter does not answer", "tid", t.Env.TraceID, "filter", a.Name, "err", err)
			}
			sum.Findings = append(sum.Findings, v.Findings...)
			t.hookLines = append(v.Header, t.hookLines...)
			switch v.Action {
			case hook.Junk:
				sum.Action, sum.Role = FileInto, mail.RoleJunk
			case hook.Discard:
				sum.Action = Discard
				return sum
			case hook.Defer, hook.Reject:
				if sum.Action, sum.Reply = Reject, v.Reply; v.Action == hook.Defer {
					sum.Action = Defer
				}
				return sum
			}
		}
		return sum
	},
}

// hookMessage is what hooks are told.
func (t *Transaction) hookMessage(ctx context.Context, h *message.Header) *hook.Message {
	m := &hook.Message{ID: t.Env.TraceID, Host: t.s.opts.Hostname, Remote: t.sess.Remote, Hello: t.sess.Hello, From: t.Env.ReversePath,
		Prefix: t.appendTrace(nil), Content: t.staged, Size: t.staged.Size()}
	if t.sess.Account != nil {
		m.Account = t.sess.Account.Address.String()
	}
	if f := t.findings(ctx, h); f != nil {
		m.Name = f.peer.iprev.Name
	}
	for _, r := range t.Env.Recipients {
		m.To = append(m.To, r.Address)
	}
	return m
}
