package delivery

import (
	"context"

	"posthouse/mail"
	"posthouse/store"
)

// Inject takes a message of our own, whole and with CRLF line ends, for all
// recipients of env, in one commit with also (which may be nil). An error means
// that nothing was committed: of kind NotFound, Denied, OverQuota, TooLarge or
// Invalid that it never will be, else that it may be later. It implements
// queue.Injector, for which also records that a report was made.
func (s *Service) Inject(ctx context.Context, env mail.Envelope, content []byte, also *store.Batch) error {
	const op = "delivery.Inject"
	to := env.Recipients
	env.Recipients = nil
	t := s.Begin(&Session{Origin: FromServer}, env)
	defer t.Close()
	if also != nil {
		t.also = []*store.Batch{also}
	}
	if len(to) == 0 {
		return &mail.Error{Kind: mail.Invalid, Op: op, Text: "no recipients"}
	}
	for _, r := range to {
		if reply := t.Recipient(ctx, r); !reply.Positive() {
			return t.failure(op, reply)
		}
	}
	if r := t.Open(ctx); r.Code != 0 {
		return t.failure(op, r)
	}
	// An error stays with the transaction: Accept makes its reply of it.
	_, _ = t.Write(content)
	if r := t.Accept(ctx); !r.Positive() {
		return t.failure(op, r)
	}
	s.opts.Logger.Info("message of our own accepted", "tid", env.TraceID, "from", env.ReversePath.String(),
		"to", to[0].Address.String(), "rcpts", len(to), "size", t.Size())
	return nil
}

// failure is the error that a reply stands for.
func (t *Transaction) failure(op string, r mail.Reply) error {
	e := &mail.Error{Kind: mail.Invalid, Op: op, Text: r.Text, Err: t.err}
	switch {
	case t.err != nil:
		e.Kind = mail.KindOf(t.err)
	case r.Transient():
		e.Kind = mail.Unavailable
	case r == replyNoUser:
		e.Kind = mail.NotFound
	case r == replyNoRelay:
		e.Kind = mail.Denied
	}
	return e
}
