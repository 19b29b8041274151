package delivery

import (
	"context"

	"posthouse/hook"
	"posthouse/mail"
)

// A talk is with one hook about this envelope; the zero talk is with none.
type talk struct{ hook.Talk }

// hear tells a recipient to the hooks that answer to the envelope, and returns ok or the
// refusal of the first that does not want it. A hook that does not answer now is asked
// again with the message, and then what is configured for silence holds.
func (t *Transaction) hear(ctx context.Context, to mail.Recipient, ok mail.Reply) mail.Reply {
	t.eachTalk(ctx, func(a *hook.Asked, k hook.Talk) error {
		if !ok.Positive() {
			return nil
		}
		r, err := a.Recipient(ctx, k, to)
		if err == nil && r.Code != 0 {
			ok = r
		}
		return err
	})
	return ok
}

// hearRefused tells a recipient that we refused to the hooks that want to hear of such.
func (t *Transaction) hearRefused(ctx context.Context, r hook.Refusal) {
	if len(t.s.opts.Hooks) == 0 || len(t.refused) == maxRefused {
		return
	}
	t.refused = append(t.refused, r)
	t.eachTalk(ctx, func(a *hook.Asked, k hook.Talk) error { return a.Refused(ctx, k, r) })
}

// eachTalk begins what was not, and does something with each; one that fails is over.
func (t *Transaction) eachTalk(ctx context.Context, do func(*hook.Asked, hook.Talk) error) {
	list := t.s.opts.Hooks
	if len(list) > 0 && t.talks == nil {
		t.beginTalks(ctx, list)
	}
	for i := range t.talks {
		k := &t.talks[i]
		if k.Talk == nil {
			continue
		}
		if err := do(&list[i], k.Talk); err != nil {
			t.silent(&list[i], err)
			k.Close()
			k.Talk = nil
		}
	}
}

func (t *Transaction) beginTalks(ctx context.Context, list []hook.Asked) {
	t.talks = make([]talk, len(list))
	var m *hook.Message
	for i := range list {
		if !t.asks(&list[i]) {
			continue
		}
		if m == nil {
			m = t.hookEnvelope()
			m.Name = t.peerName(ctx)
		}
		k, err := list[i].Begin(ctx, m)
		if err != nil {
			t.silent(&list[i], err)
		} else {
			t.talks[i] = talk{k}
		}
	}
}

// peerName is the name of the peer's address, which DNS confirms; "" if it has none.
func (t *Transaction) peerName(ctx context.Context) string {
	t.s.meet(ctx, t.sess)
	p := t.sess.peer
	if p == nil {
		return ""
	}
	<-p.done // it has its own limit
	return p.iprev.Name
}

func (t *Transaction) silent(a *hook.Asked, err error) {
	t.s.opts.Logger.Warn("a filter does not answer to the envelope: it is asked again with the message", "tid", t.Env.TraceID, "filter", a.Name, "err", err)
}

// hangUp ends what is left of the talks.
func (t *Transaction) hangUp() {
	for _, k := range t.talks {
		if k.Talk != nil {
			k.Close()
		}
	}
	t.talks = nil
}
