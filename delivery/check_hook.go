package delivery

import (
	"context"
	"io"
	"slices"

	"posthouse/hook"
	"posthouse/mail"
	"posthouse/message"
)

// checkHook asks the programs that the operator has put beside us: milters, Rspamd,
// ClamAV. Each sees the message as those before it left it. The first that refuses has
// the last word.
var checkHook = stage{name: "hook",
	message: func(ctx context.Context, t *Transaction, h *message.Header) Verdict {
		var sum Verdict
		var m *hook.Message
		for i := range t.s.opts.Hooks {
			a := &t.s.opts.Hooks[i]
			if !t.asks(a) {
				continue
			}
			if m == nil {
				m = t.hookMessage()
				if f := t.findings(ctx, h); f != nil {
					m.Name = f.peer.iprev.Name
				}
			}
			v, err := t.askHook(ctx, i, m)
			if err != nil {
				t.s.opts.Logger.Warn("a filter does not answer", "tid", t.Env.TraceID, "filter", a.Name, "err", err)
			}
			sum.Findings = append(sum.Findings, v.Findings...)
			t.hookLines = append(v.Header, t.hookLines...)
			switch v.Action {
			case hook.Junk:
				sum.Action, sum.Role = FileInto, mail.RoleJunk
				t.quarantine(v.Hold)
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
	recipient: func(_ context.Context, t *Transaction, _ *message.Header, r mail.Recipient) Verdict {
		if t.withdrawn[r.Address] {
			return Verdict{Action: Discard}
		}
		return Verdict{}
	},
}

// asks reports whether a hook is asked about this mail.
func (t *Transaction) asks(a *hook.Asked) bool {
	return a.Submitted && t.sess.Origin == FromSubmission || a.Received && t.sess.Origin == FromMX
}

// hookEnvelope is what hooks are told before the recipients.
func (t *Transaction) hookEnvelope() *hook.Message {
	m := &hook.Message{ID: t.Env.TraceID, Host: t.s.opts.Hostname, Remote: t.sess.Remote, Hello: t.sess.Hello, TLS: t.sess.TLS,
		From: t.Env.ReversePath, Params: hook.MailParams(&t.Env, t.s.opts.Now())}
	if t.sess.Account != nil {
		m.Account, m.AuthType = t.sess.Account.Address.String(), t.sess.AuthType
	}
	return m
}

// hookMessage is what hooks are told.
func (t *Transaction) hookMessage() *hook.Message {
	m := t.hookEnvelope()
	m.Refused = t.refused
	for _, r := range t.Env.Recipients {
		if !t.withdrawn[r.Address] {
			m.To = append(m.To, r)
		}
	}
	return m
}

// askHook asks one hook about the message as it is now, and makes the changes that it
// wants.
func (t *Transaction) askHook(ctx context.Context, i int, m *hook.Message) (hook.Verdict, error) {
	m.Prefix = t.appendTrace(slices.Clone(t.hookLines))
	m.Content, m.Size = t.staged, t.staged.Size()
	e := edit{t: t, prefix: m.Prefix}
	defer e.close()
	m.Replace = func() (io.Writer, error) { return e.replace(ctx) }
	a := &t.s.opts.Hooks[i]
	var k hook.Talk
	if i < len(t.talks) {
		k = t.talks[i].Talk
	}
	v, err := a.Ask(ctx, k, m)
	if err != nil || v.Action > hook.Junk {
		return v, err
	}
	if err := e.apply(ctx, &v); err != nil {
		t.fault("edit", err)
		return hook.Verdict{Action: hook.Defer, Reply: t.deferFor("edit", err).Reply}, err
	}
	if len(v.Changes) > 0 { // those who come next are told of the new envelope
		now := t.hookMessage()
		m.From, m.Params, m.To = now.From, now.Params, now.To
	}
	return v, nil
}

// quarantine holds what an account of ours sends elsewhere, if a hook wants that; what
// is for mailboxes of ours goes to Junk.
func (t *Transaction) quarantine(hold bool) {
	if hold && t.sess.Origin == FromSubmission && t.Env.HoldUntil.Before(mail.UntilReleased) {
		t.Env.HoldUntil, t.quarantined = mail.UntilReleased, true
	}
}
