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
func (t *Transaction) hear(ctx context.Context, to mail.Address, ok mail.Reply) mail.Reply {
	list := t.s.opts.Hooks
	if len(list) > 0 && t.talks == nil {
		t.beginTalks(ctx, list)
	}
	for i := range t.talks {
		k := &t.talks[i]
		if k.Talk == nil {
			continue
		}
		r, err := list[i].Recipient(ctx, k.Talk, to)
		if err != nil {
			t.silent(&list[i], err)
			k.Close()
			k.Talk = nil
		} else if r.Code != 0 {
			return r
		}
	}
	return ok
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
