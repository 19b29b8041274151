package jmap

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"posthouse/delivery"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

func (c *call) deliverySession() *delivery.Session {
	return &delivery.Session{Origin: delivery.FromSubmission, Account: &c.who.account, Extended: true, Hello: c.opts.Hostname}
}

// loadSubmissions finds what was scheduled before the server started.
func (s *Server) loadSubmissions(ctx context.Context) error {
	return s.opts.Store.EachObject(ctx, store.ObjectSubmission, func(id mail.AccountID, o store.Object) bool {
		m, err := decodeValues(o.Value)
		if err == nil && m["undoStatus"] == "pending" {
			s.timers.set(alarm{id, store.ObjectSubmission, o.ID}, dateOf(m["sendAt"]))
		}
		return true
	})
}

// errTakenBack: the submission was canceled, or sent, meanwhile.
var errTakenBack = errors.New("jmap: the submission is not pending any more")

// submissionFailed says what becomes of a submission that cannot be sent.
type submissionFailed struct{ reply mail.Reply }

func (e *submissionFailed) Error() string { return "jmap: " + e.reply.String() }

// sendSubmission hands a pending submission to delivery. An error means that it is
// pending still.
func (s *Server) sendSubmission(ctx context.Context, a alarm) error {
	acct, err := s.opts.Store.Account(ctx, a.account)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	}
	c, err := s.senderCall(ctx, acct, a.id)
	if err != nil || c == nil {
		return err
	}
	sub, e, err := c.pending(a.id)
	if err != nil || sub == nil {
		return err
	}
	reply, err := c.deliver(a.id, sub, e)
	var failed *submissionFailed
	switch {
	case errors.Is(err, errTakenBack):
		return nil
	case errors.As(err, &failed):
		err := c.acct.Update(ctx, func(tx *store.Tx) error { return c.conclude(tx, a.id, "", failed.reply, nil) })
		if errors.Is(err, errTakenBack) {
			return nil
		}
		return err
	}
	if err == nil {
		s.log.Info("submission sent", "account", uint64(a.account), "by", uint64(c.who.account.ID), "reply", reply.Code)
	}
	return err
}

// pending reads a submission and its message; nil if it is not pending.
func (c *call) pending(id string) (sub values, e *email, err error) {
	err = c.view(func(v *store.View) error {
		o, err := v.Object(store.ObjectSubmission, id)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if sub, err = decodeValues(o.Value); err != nil || sub["undoStatus"] != "pending" {
			sub = nil
			return err
		}
		text, _ := sub["emailId"].(string)
		n, _ := parseEmailID(text)
		r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
		e, err = c.loadEmail(&r, n)
		return err
	})
	return sub, e, err
}

// deliver gives the message to delivery; what became of it is committed with it.
func (c *call) deliver(id string, sub values, e *email) (mail.Reply, error) {
	if c.who.account.Disabled {
		return mail.Reply{}, &submissionFailed{mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "who sent it may not send any more"}}
	}
	if e == nil {
		var err error
		if e, err = c.outgoing(id); err != nil {
			return mail.Reply{}, err
		}
	}
	if e == nil {
		return mail.Reply{}, &submissionFailed{mail.Reply{Code: 554, Enhanced: [3]uint8{5, 6, 0}, Text: "the message does not exist any more"}}
	}
	env := readEnvelope(sub["envelope"])
	tid := c.ids.Next(c.opts.Now())
	t := c.opts.Delivery.Begin(c.deliverySession(), mail.Envelope{ReversePath: env.from, TraceID: tid, Body: mail.Body8BitMIME,
		UTF8: !env.isASCII(), Size: e.size, Account: c.who.account.ID,
		EnvID: cmp.Or(env.id, id), ReturnFull: env.full})
	defer t.Close()
	if r := t.Sender(c.ctx); !r.Positive() {
		return r, refusedBy(r)
	}
	refusals := map[string]mail.Reply{}
	for _, rcpt := range env.to {
		rcpt.Original = cmp.Or(rcpt.Original, original(rcpt.Address))
		if r := t.Recipient(c.ctx, rcpt); !r.Positive() {
			refusals[rcpt.Address.String()] = r
		}
	}
	if len(t.Env.Recipients) == 0 {
		for _, r := range refusals {
			return r, refusedBy(r)
		}
	}
	if r := t.Open(c.ctx); r.Code != 0 {
		return r, refusedBy(r)
	}
	if err := copyMessage(t, e); err != nil {
		return mail.Reply{}, err
	}
	out := outgoing{c.who.account.ID, tid}
	c.statuses.expect(out, submitted{c.acct.ID(), id})
	final := mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: "Ok"}
	var beside error
	t.Beside = delivery.Beside{Account: c.acct.ID(), Do: func(tx *store.Tx) error {
		beside = c.acting(tx, func() error { return c.conclude(tx, id, tid, final, refusals) })
		return beside
	}}
	r := t.Accept(c.ctx)
	if beside != nil || !r.Positive() {
		c.statuses.forget(out)
	}
	if errors.Is(beside, errTakenBack) {
		return r, errTakenBack
	}
	if !r.Positive() {
		return r, refusedBy(r)
	}
	return r, nil
}

func copyMessage(t io.Writer, e *email) error {
	b, err := e.open()
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(t, io.NewSectionReader(b, 0, b.Size()))
	return err
}

// refusedBy is the error that a reply stands for.
func refusedBy(r mail.Reply) error {
	if r.Permanent() {
		return &submissionFailed{r}
	}
	return &mail.Error{Kind: mail.Unavailable, Op: "jmap.submit", Text: r.Text}
}

func readEnvelope(v any) *envelope {
	env := &envelope{}
	m, _ := v.(map[string]any)
	from, _ := m["mailFrom"].(map[string]any)
	a, _ := addressOf(from)
	if a.Address.Domain != "" {
		env.from = a.Address
	}
	env.setReturn(from["parameters"])
	list, _ := m["rcptTo"].([]any)
	for _, e := range list {
		rm, _ := e.(map[string]any)
		if a, ok := addressOf(rm); ok {
			r := mail.Recipient{Address: a.Address}
			setNotify(&r, rm["parameters"])
			env.to = append(env.to, r)
		}
	}
	return env
}

func (e *envelope) isASCII() bool {
	return e.from.IsASCII() && !slices.ContainsFunc(e.to, func(r mail.Recipient) bool { return !r.Address.IsASCII() })
}

// conclude notes what became of a submission, and changes its message as it asked.
func (c *call) conclude(tx *store.Tx, id, trace string, reply mail.Reply, refusals map[string]mail.Reply) error {
	o, err := tx.Object(store.ObjectSubmission, id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return errTakenBack
	}
	if err != nil {
		return err
	}
	m, err := decodeValues(o.Value)
	if err != nil {
		return err
	}
	if m["undoStatus"] != "pending" {
		return errTakenBack
	}
	m["undoStatus"] = "final"
	status := map[string]any{}
	for _, r := range readEnvelope(m["envelope"]).to {
		to := r.Address.String()
		one, refused := refusals[to]
		if !refused {
			one = reply
		}
		delivered, err := c.fateOf(r.Address, one)
		if err != nil {
			return err
		}
		status[to] = map[string]any{"smtpReply": one.String(), "delivered": delivered, "displayed": "unknown"}
	}
	m["deliveryStatus"] = status
	if trace != "" {
		m["traceId"] = trace
	}
	if err := dropOutgoing(tx, id); err != nil {
		return err
	}
	if reply.Positive() && m["onSend"] != nil {
		c.patchSent(tx, m)
	}
	return tx.PutObject(store.ObjectSubmission, id, wire.Append(nil, map[string]any(m)), nil)
}

// fateOf is what a reply means for a recipient: in the mailbox if that is here, in the
// queue if it is elsewhere, and unknown if the address leads to several places.
func (c *call) fateOf(a mail.Address, reply mail.Reply) (string, error) {
	if !reply.Positive() {
		return "no", nil
	}
	res, err := c.opts.Directory.Resolve(c.ctx, a)
	switch {
	case err != nil:
		return "", err
	case !res.Local:
		return "queued", nil
	case len(res.Remote) > 0:
		return "unknown", nil
	}
	return "yes", nil
}

// patchSent makes the change of the message that was asked for when it is sent. One
// that does not fit any more must not keep the message from going.
func (c *call) patchSent(tx *store.Tx, sub values) {
	text, _ := sub["emailId"].(string)
	one := *c
	one.exact, one.typ = true, c.types["Email"]
	s := &setter{call: &one, tx: tx, fresh: map[string]string{}, moved: map[store.EmailID]bool{}, refused: map[string]*setError{}}
	if err := one.typ.tryUpdate(s, "update/"+text, text, sub["onSend"]); err != nil {
		c.log.Warn("jmap: a sent message was not filed", "account", uint64(c.acct.ID()), "err", err)
	}
}

// querySubmissions is EmailSubmission/query, RFC 8621 §7.3.
func querySubmissions(c *call, v *store.View, q *query) (results, error) {
	recs, err := c.types["EmailSubmission"].load(c, v, nil)
	if err != nil {
		return nil, err
	}
	recs = slices.DeleteFunc(recs, func(r record) bool { return !submissionFits(q.filter, r.rec.(values)) })
	by := q.sort
	if len(by) == 0 {
		by = []comparator{{property: "sendAt", descending: true}}
	}
	return sortedIDs(recs, by, byText(func(r record, property string) string {
		if property == "sentAt" {
			property = "sendAt"
		}
		text, _ := r.rec.(values)[property].(string)
		return text
	})), nil
}

func submissionFits(f *filter, m values) bool {
	has := func(name string, val any) bool {
		id, _ := m[name].(string)
		return slices.Contains(stringsOf(val), id)
	}
	at := dateOf(m["sendAt"])
	return f.fits(func(condition string, val any) bool {
		switch condition {
		case "identityIds":
			return has("identityId", val)
		case "emailIds":
			return has("emailId", val)
		case "threadIds":
			return has("threadId", val)
		case "undoStatus":
			return m["undoStatus"] == val
		case "before":
			return at.Before(dateOf(val))
		case "after":
			return !at.Before(dateOf(val))
		}
		return true
	})
}
