package delivery

import (
	"context"

	"posthouse/mail"
)

// rewritten is the reverse-path under which mail goes on from an address of ours in
// domain: that of a stranger is replaced by one of ours that leads back to it, so that
// SPF of the next server sees us (SRS).
func (t *Transaction) rewritten(ctx context.Context, domain mail.Domain) mail.Address {
	from := t.Env.ReversePath
	if t.s.opts.SRS == nil || from.IsNull() {
		return from
	}
	if res, err := t.s.opts.Directory.Resolve(ctx, from); err != nil || res.Local {
		return from // our own SPF record covers it
	}
	return t.s.opts.SRS().Forward(from, domain, t.s.opts.Now())
}

// returned finds where a bounce of forwarded mail goes: back to who sent it. Nothing but
// bounces goes there, and only to addresses that we made: else we would relay.
func (t *Transaction) returned(ctx context.Context, a mail.Address) (way, mail.Reply) {
	to, err := t.s.opts.SRS().Reverse(a, t.s.opts.Now())
	if err != nil || !t.Env.ReversePath.IsNull() || t.s.opts.Queue == nil {
		return way{}, replyNoUser
	}
	res, err := t.s.opts.Directory.Resolve(ctx, to)
	switch {
	case err != nil:
		return way{}, t.deferFor("recipient", err).Reply
	case res.Local && res.Found:
		return t.localWay(res)
	case res.Local:
		return way{}, replyNoUser
	}
	return way{remote: []mail.Address{to}}, replyOK
}
