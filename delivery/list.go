package delivery

import (
	"context"
	"strings"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/smtp/wire"
	"posthouse/store"
	"posthouse/trace"
)

var replyNoBounces = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "This is a mailing list: it takes no bounces"}

// listID is the identifier of a list, RFC 2919 §2.
func listID(list mail.Address) string {
	domain := string(list.Domain)
	if d, err := wire.DomainToASCII(list.Domain); err == nil {
		domain = d
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, list.Local)
	return name + "." + strings.ToLower(domain)
}

// appendList appends the fields of a list (RFC 2369 §3, RFC 2919 §3, RFC 8058 §3.1). What
// another list sends on keeps that one's.
func (t *Transaction) appendList(dst []byte, l *directory.List, list mail.Address) []byte {
	h := &t.staged.Message().Header
	if !h.Has("Precedence") {
		dst = append(dst, "Precedence: list\r\n"...)
	}
	if h.Has("List-Id") {
		return dst
	}
	dst = append(append(append(dst, "List-Id: <"...), listID(list)...), ">\r\n"...)
	if list.IsASCII() && !strings.ContainsAny(list.Local, " \"<>%?&#") {
		dst = append(append(append(dst, "List-Post: <mailto:"...), list.String()...), ">\r\n"...)
	}
	if l.Unsubscribe != "" && !h.Has("List-Unsubscribe") {
		dst = append(append(append(dst, "List-Unsubscribe: <"...), l.Unsubscribe...), ">\r\n"...)
		if l.OneClick {
			dst = append(dst, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
		}
	}
	return dst
}

// listBatches are what the queue must store for the members of a list elsewhere: one
// entry for each, whose reverse-path names the member (VERP), so that a bounce comes back
// to the list and says whom it is about. Who is suppressed gets nothing.
func (t *Transaction) listBatches(ctx context.Context, w *way, r mail.Recipient, to []mail.Address, trace []byte) ([]*store.Batch, error) {
	lines := append(t.appendList(t.appendDeliveredTo(nil, r), w.list, r.Address), trace...)
	prefix := t.withSeal(ctx, w.home, t.withListSignature(ctx, w.home, t.withSignatures(ctx, lines)))
	var batches []*store.Batch
	for _, member := range to {
		if s := t.s.opts.Suppression; s != nil {
			if reply, yes := s.Suppressed(w.home, member); yes {
				t.s.opts.Logger.Info("a list leaves a member out", "tid", t.Env.TraceID, "list", r.Address.String(), "member", member.String(), "because", reply.Text)
				continue
			}
		}
		env := t.forward()
		env.ReversePath = r.Address
		if t.s.opts.SRS != nil {
			env.ReversePath = t.s.opts.SRS().Bounce(r.Address, member, t.s.opts.Now())
		}
		// A new envelope, RFC 3461 §5.2.7.4.
		env.EnvID, env.Recipients = "", []mail.Recipient{{Address: member, Notify: mail.NotifyFailure}}
		b, err := t.s.opts.Queue.AddBatch(ctx, env, prefix, t.staged)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	return batches, nil
}

// withListSignature signs, for the list's domain, what a stranger wrote and the list's
// fields.
func (t *Transaction) withListSignature(ctx context.Context, domain mail.Domain, prefix []byte) []byte {
	f := t.found
	if t.toSign != nil || f == nil || !f.gathered {
		return prefix
	}
	keys, err := t.s.sign.of(ctx, t.s.opts.Directory, domain, t.s.opts.Now())
	var out []byte
	for i := 0; i < len(keys) && err == nil; i++ {
		out, err = f.body.AppendSignature(out, prefix, keys[i], t.came)
	}
	if err != nil {
		t.s.opts.Logger.Warn("a list's mail goes unsigned", "tid", t.Env.TraceID, "err", err)
		return prefix
	}
	return append(out, prefix...)
}

// A bounce says that mail of a list to a member came back.
type bounce struct{ list, member mail.Address }

// bounced takes what comes to the reverse-path of a list, if it is a bounce and we made
// the address.
func (t *Transaction) bounced(a mail.Address) (way, mail.Reply) {
	list, member, err := t.s.opts.SRS().Bounced(a, t.s.opts.Now())
	if err != nil || !t.Env.ReversePath.IsNull() {
		return way{}, replyNoUser
	}
	return way{bounce: &bounce{list, member}}, replyOK
}

// noteBounces counts the bounces of lists that say that a member is not there. It is
// done when the message is taken: who cannot be counted now bounces again.
func (t *Transaction) noteBounces(ctx context.Context, recipients []int) {
	for _, i := range recipients {
		b := t.ways[i].bounce
		if b == nil {
			continue
		}
		said, gone := t.gone()
		t.outcome.put(i, trace.Dropped, "a bounce of the list "+b.list.String()+" about "+b.member.String()+": "+said)
		if s := t.s.opts.Suppression; s != nil && gone {
			if err := s.Returned(ctx, b.list.Domain, b.member, said); err != nil {
				t.s.opts.Logger.Warn("a bounce was not noted", "tid", t.Env.TraceID, "list", b.list.String(), "member", b.member.String(), "err", err)
			}
		}
		t.s.opts.Logger.Info("a bounce of a list", "tid", t.Env.TraceID, "list", b.list.String(), "member", b.member.String(), "gone", gone, "said", said)
	}
}

// gone reads the delivery status (RFC 3464 §2.3) in a bounce: what it says, and whether
// that is that the address is not there.
func (t *Transaction) gone() (said string, gone bool) {
	r, err := message.ReadReport(t.staged.Message(), t.staged)
	if err != nil || r == nil || len(r.Recipients) == 0 {
		return "no delivery status", false
	}
	one := r.Recipients[0]
	said = strings.TrimSpace(one.Action + " " + one.Status + " " + one.Diagnostic)
	return said, one.Action == "failed" && (strings.HasPrefix(one.Status, "5.1.") || one.Status == "5.2.1" || one.Status == "5.0.0" && strings.Contains(one.Diagnostic, "55"))
}
