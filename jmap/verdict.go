package jmap

import (
	"context"
	"errors"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
	"posthouse/trust"
)

// verdictOf is a vendor property: whom a message is from, as far as can be told.
func verdictOf(g *getter, e *email) (any, error) {
	v, err := g.verdict(e)
	if err != nil {
		return nil, err
	}
	reasons := make([]wire.Object, len(v.Reasons))
	for i, r := range v.Reasons {
		reasons[i] = wire.Object{{Name: "code", Value: r.Code}, {Name: "level", Value: string(r.Level)}, {Name: "shown", Value: textOrNull(r.Shown)}, {Name: "real", Value: textOrNull(r.Real)}}
	}
	findings := []wire.Object{}
	if e.rec != nil {
		for _, f := range e.rec.Findings() {
			findings = append(findings, wire.Object{{Name: "check", Value: f.Check}, {Name: "result", Value: f.Result}, {Name: "text", Value: f.Text}})
		}
	}
	return wire.Object{{Name: "status", Value: string(v.Status)}, {Name: "domain", Value: textOrNull(v.Domain)}, {Name: "reasons", Value: reasons},
		{Name: "findings", Value: findings}}, nil
}

func (g *getter) verdict(e *email) (trust.Verdict, error) {
	h, err := e.headerOf(g, 0)
	if err != nil {
		return trust.Verdict{}, err
	}
	own := g.who.account.Address
	s := trust.Sender{List: listOf(h), Text: h.Text("Subject") + " " + e.preview(), Own: []string{string(own.Domain)}}
	if e.rec != nil {
		s.Findings = e.rec.Findings()
		if len(e.rec.Prefix) > 0 { // else it was put there by a client, and its Received fields are anybody's
			s.Received = h.Value("Received")
		}
	}
	var from mail.Address
	for _, m := range h.Addresses("From") {
		if !m.Group {
			from, s.Name, s.Domain = m.Address, m.Name, string(m.Address.Domain)
			break
		}
	}
	for _, m := range h.Addresses("Reply-To") {
		if !m.Group && m.Address.Domain != "" {
			s.ReplyTo = append(s.ReplyTo, string(m.Address.Domain))
		}
	}
	s.Known.Self = strings.EqualFold(from.String(), own.String())
	if g.acct == nil {
		return trust.Judge(s), nil
	}
	err = g.acquainted(g.v, func(p *acquaintances) {
		k := &s.Known
		k.First, k.Contact, k.SameAs = p.known(s.Name, from.String(), e.id)
		k.Domains = p.domains()
	})
	return trust.Judge(s), err
}

// listOf is the name of the list that a message came over, RFC 2919 §3.
func listOf(h *message.Header) string {
	id := h.Value("List-Id")
	if i := strings.LastIndexByte(id, '<'); i >= 0 {
		id = id[i+1:]
	}
	id, _, _ = strings.Cut(id, ">")
	return strings.TrimSpace(id)
}

// OpenAccount opens an account by its id, as a user may see it: the user's own, or one of
// somebody else who shares. NotFound if it is neither.
func (s *Server) OpenAccount(ctx context.Context, user mail.AccountID, id string) (*store.Account, error) {
	_, a, err := s.seen(ctx, user, id)
	if err != nil {
		return nil, err
	}
	return a.Account, nil
}

func (s *Server) seen(ctx context.Context, user mail.AccountID, id string) (*principal, *account, error) {
	who, err := s.opts.Directory.Account(ctx, user)
	if err != nil {
		return nil, nil, err
	}
	p := &principal{account: who}
	a, err := s.account(ctx, p, id)
	var me *methodError
	if errors.As(err, &me) {
		err = &mail.Error{Kind: mail.NotFound, Op: "jmap.account", Text: "there is no such account"}
	}
	return p, a, err
}

// Verdict says whom a message is from, for those who show it otherwise: of an account as
// a user may see it. NotFound if there is none.
func (s *Server) Verdict(ctx context.Context, user mail.AccountID, id string, n store.EmailID) (v trust.Verdict, err error) {
	p, acct, err := s.seen(ctx, user, id)
	if err != nil {
		return v, err
	}
	c := &call{Server: s, ctx: ctx, who: p, acct: acct, args: map[string]any{}, req: &request{created: map[string]string{}}}
	err = c.view(func(view *store.View) error {
		r := rows{v: view, snaps: map[store.MailboxID]*store.Snapshot{}}
		e, err := c.loadEmail(&r, n)
		if err != nil {
			return err
		}
		if e == nil {
			return &mail.Error{Kind: mail.NotFound, Op: "jmap.Verdict", Text: "there is no such message"}
		}
		v, err = (&getter{c, view}).verdict(e)
		return err
	})
	return v, err
}
