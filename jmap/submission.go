package jmap

import (
	"fmt"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// submissionType is EmailSubmission, RFC 8621 §7. A submission is kept before
// anything is sent; that it has been is committed together with the message to its
// local recipients and to the queue, so it is sent once, whatever happens.
func submissionType() *objectType {
	t := &objectType{
		name: "EmailSubmission", capability: capSubmission,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "identityId", typ: "Id", mode: immutable},
			{name: "emailId", typ: "Id", mode: immutable},
			{name: "threadId", typ: "Id", mode: serverSet | immutable},
			{name: "envelope", typ: "Envelope|null", mode: immutable | optional},
			{name: "sendAt", typ: "UTCDate", mode: serverSet | immutable},
			{name: "undoStatus", typ: "String", mode: optional, def: "pending"},
			{name: "deliveryStatus", typ: "String[DeliveryStatus]|null", mode: serverSet},
			{name: "dsnBlobIds", typ: "Id[]", mode: serverSet, get: reports("dsnBlobIds")},
			{name: "mdnBlobIds", typ: "Id[]", mode: serverSet, get: reports("mdnBlobIds")},
			// Vendor: who sent it, if that was not the owner.
			{name: "sentBy", typ: "String|null", mode: serverSet},
			// Vendor: a patch of the Email when it is really sent.
			{name: "onSend", typ: "Any|null", mode: optional | onRequest},
		},
		setArgs: []wire.Field{{Name: "onSuccessUpdateEmail?", Type: "Id[Any]"}, {Name: "onSuccessDestroyEmail?", Type: "Id[]"}},
		query: &queryType{
			filters: map[string]filterProperty{"identityIds": {"Id[]"}, "emailIds": {"Id[]"}, "threadIds": {"Id[]"}, "undoStatus": {"String"}, "before": {"UTCDate"}, "after": {"UTCDate"}},
			sorts:   []string{"emailId", "threadId", "sentAt", "sendAt"}, run: querySubmissions, changed: objectsChanged(store.ObjectSubmission),
		},
		create: createSubmission, update: updateSubmission,
		destroy: destroySubmission,
		done:    submissionsDone,
	}
	t.keep(store.ObjectSubmission)
	t.load = ownOfGuest(t.load)
	t.touched = ownTouched(t.load, t.touched)
	return t
}

// maxSubmissions of an account that are kept; the oldest that are final go.
const maxSubmissions = 1000

func createSubmission(s *setter, props map[string]any, _ any) (string, wire.Object, error) {
	if s.opts.Delivery == nil {
		return "", nil, unfit("forbiddenToSend", "this server sends nothing")
	}
	if props["undoStatus"] != "pending" && props["undoStatus"] != nil {
		return "", nil, invalidProperties("a submission begins as pending", "undoStatus")
	}
	emailText, _ := props["emailId"].(string)
	id, ok := parseEmailID(emailText)
	r := rows{v: &s.tx.View, snaps: map[store.MailboxID]*store.Snapshot{}}
	var e *email
	if ok {
		var err error
		if e, err = s.loadEmail(&r, id); err != nil {
			return "", nil, err
		}
	}
	if e == nil {
		return "", nil, invalidProperties("there is no such email", "emailId")
	}
	identity, _ := props["identityId"].(string)
	who, err := s.types["Identity"].load(s.call, &s.tx.View, []string{identity})
	if err != nil {
		return "", nil, err
	}
	if len(who) == 0 {
		return "", nil, invalidProperties("there is no such identity", "identityId")
	}
	env, sendAt, err := s.envelope(e, props["envelope"], who[0].rec.(values))
	if err != nil {
		return "", nil, err
	}
	if err := s.mayAccept(e, env); err != nil {
		return "", nil, err
	}
	if err := s.trimSubmissions(); err != nil {
		return "", nil, err
	}
	name, err := s.newID("E")
	if err != nil {
		return "", nil, err
	}
	set := wire.Object{{Name: "threadId", Value: threadID(e.thread)}, {Name: "sendAt", Value: utcDate(sendAt.Unix())},
		{Name: "undoStatus", Value: "pending"}, {Name: "deliveryStatus", Value: nil}, {Name: "dsnBlobIds", Value: []string{}}, {Name: "mdnBlobIds", Value: []string{}}}
	if props["envelope"] == nil {
		set = set.With("envelope", env.object())
	}
	m := values{"identityId": identity, "emailId": emailText, "threadId": threadID(e.thread), "envelope": wire.Plain(env.object()),
		"sendAt": utcDate(sendAt.Unix()), "undoStatus": "pending", "onSend": props["onSend"]}
	if env.id != "" {
		m["envId"] = env.id
	}
	if s.acct.shared {
		m["by"], m["sentBy"] = int64(s.who.account.ID), s.who.account.Address.String()
		set = set.With("sentBy", m["sentBy"])
	} else {
		set = set.With("sentBy", nil)
	}
	if h, err := e.headerOf(&getter{s.call, &s.tx.View}, 0); err == nil && len(h.Value("Message-ID")) < 1000 {
		m["messageId"] = h.Value("Message-ID")
	}
	if err := s.put(store.ObjectSubmission, name, m); err != nil {
		return "", nil, err
	}
	s.afterwards = append(s.afterwards, func() { s.started(name, sendAt, e) })
	return name, set, nil
}

// started sends what is due at once, and schedules the rest. The bytes of what waits
// are kept: it goes whatever becomes of the message in its mailbox.
func (s *setter) started(name string, at time.Time, e *email) {
	a := alarm{s.acct.ID(), store.ObjectSubmission, name}
	if !at.After(s.opts.Now()) {
		err := s.sendSubmission(s.ctx, a)
		if err == nil {
			return
		}
		s.log.Warn("jmap: a submission waits", "account", uint64(s.acct.ID()), "err", err)
		at = s.opts.Now().Add(retryAfter)
	}
	if err := s.keepOutgoing(s.ctx, s.acct.Account, name, e); err != nil {
		s.log.Warn("jmap: the bytes of a submission are not kept", "account", uint64(s.acct.ID()), "err", err)
	}
	s.timers.set(a, at)
}

// trimSubmissions makes room among those that are over.
func (s *setter) trimSubmissions() error {
	n := 0
	oldest, when := "", "9999"
	if err := s.tx.Objects(store.ObjectSubmission, func(o store.Object) bool {
		n++
		m, err := decodeValues(o.Value)
		if at, _ := m["sendAt"].(string); err == nil && m["undoStatus"] != "pending" && at < when {
			oldest, when = o.ID, at
		}
		return true
	}); err != nil {
		return err
	}
	switch {
	case n < maxSubmissions:
		return nil
	case oldest == "":
		return unfit("overQuota", "too many messages are scheduled")
	}
	return s.tx.DeleteObject(store.ObjectSubmission, oldest)
}

// maxRecipients of one message, as over SMTP.
const maxRecipients = 1000

// mayAccept asks delivery about sender and recipients, RFC 8621 §7.5.
func (s *setter) mayAccept(e *email, env *envelope) error {
	if err := tooLargeToSend(e.size, s.opts.Store.Limits().MessageBytes); err != nil {
		return err
	}
	switch {
	case len(env.to) == 0:
		return unfit("noRecipients", "")
	case len(env.to) > maxRecipients:
		err := unfit("tooManyRecipients", "")
		err.extra = wire.Object{{Name: "maxRecipients", Value: maxRecipients}}
		return err
	}
	g := &getter{s.call, &s.tx.View}
	h, err := e.headerOf(g, 0)
	if err != nil {
		return err
	}
	from := h.Addresses("From")
	if len(from) == 0 {
		return unfit("invalidEmail", "the message has no From").with("properties", []string{"from"})
	}
	for _, m := range from {
		ok, err := s.opts.Directory.MaySend(s.ctx, s.who.account.ID, m.Address)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		if !ok || err != nil {
			return unfit("forbiddenFrom", "you may not send as "+m.Address.String())
		}
	}
	return s.probe(env)
}

// tooLargeToSend refuses a message over a limit (0 or less: none), RFC 8621 §7.5: it may
// have come when the limit was another.
func tooLargeToSend(size, limit int64) error {
	if limit <= 0 || size <= limit {
		return nil
	}
	return unfit("tooLarge", "the message is too large to be sent").with("maxSize", limit)
}

func (e *setError) with(name string, v any) *setError {
	e.extra = e.extra.With(name, v)
	return e
}

// probe asks delivery whether it would take the envelope. Nothing is stored.
func (s *setter) probe(env *envelope) error {
	t := s.opts.Delivery.Begin(s.deliverySession(), mail.Envelope{ReversePath: env.from, TraceID: "probe"})
	defer t.Close()
	if r := t.Sender(s.ctx); r.Permanent() {
		return unfit("forbiddenMailFrom", r.Text)
	}
	var bad []string
	for _, rcpt := range env.to {
		// A mailbox that is full at present may have room when the message goes.
		if res, err := s.opts.Directory.Resolve(s.ctx, rcpt.Address); err == nil && res.Local && !res.Found {
			bad = append(bad, rcpt.Address.String())
		}
	}
	if bad != nil {
		return unfit("invalidRecipients", fmt.Sprintf("no such mailbox here: %s", strings.Join(bad, ", "))).with("invalidRecipients", bad)
	}
	return nil
}

// updateSubmission: the only change is to take it back.
func updateSubmission(s *setter, r record, changed map[string]any) (wire.Object, error) {
	was, now := r.rec.(values)["undoStatus"], changed["undoStatus"]
	if v, there := changed["onSend"]; there && was == "pending" && len(changed) == 1 {
		return nil, s.merge(store.ObjectSubmission, r, map[string]any{"onSend": v})
	}
	switch {
	case now != "canceled" && now != nil:
		return nil, invalidProperties("may only become canceled", "undoStatus")
	case was != "pending":
		return nil, unfit("cannotUnsend", "it has been sent")
	}
	if now == nil {
		return nil, nil
	}
	s.afterwards = append(s.afterwards, func() { s.timers.drop(alarm{s.acct.ID(), store.ObjectSubmission, r.id}) })
	if err := dropOutgoing(s.tx, r.id); err != nil {
		return nil, err
	}
	return nil, s.merge(store.ObjectSubmission, r, map[string]any{"undoStatus": "canceled"})
}

// destroySubmission forgets one that is over. What waits is taken back first: to destroy
// it must not change what is sent, RFC 8621 §7.5.
func destroySubmission(s *setter, id string) error {
	recs, err := s.typ.load(s.call, &s.tx.View, []string{id})
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return unfit("notFound", "")
	}
	m := recs[0].rec.(values)
	if m["undoStatus"] == "pending" {
		return unfit("forbidden", "it has not been sent: cancel it first")
	}
	if s.gone == nil {
		s.gone = map[string]string{}
	}
	s.gone[id], _ = m["emailId"].(string)
	return s.tx.DeleteObject(store.ObjectSubmission, id)
}

// submissionsDone makes the changes of emails that were asked for on success, RFC
// 8621 §7.5: an implicit Email/set behind the response.
func submissionsDone(c *call, out wire.Object) error {
	updates, destroys := c.object("onSuccessUpdateEmail"), c.strs("onSuccessDestroyEmail")
	if len(updates)+len(destroys) == 0 {
		return nil
	}
	worked := map[string]bool{}
	for _, name := range []string{"created", "updated"} {
		v, _ := out.Member(name)
		if o, ok := v.(wire.Object); ok {
			for _, m := range o {
				if worked[m.Name] = true; name == "created" {
					worked["#"+m.Name] = true
				}
			}
		}
	}
	emails := map[string]string{}
	for _, id := range destroyed(out) {
		emails[id] = c.gone[id]
	}
	if err := c.view(func(v *store.View) error {
		for id := range worked {
			real := c.req.idOf(id)
			o, err := v.Object(store.ObjectSubmission, real)
			if err != nil {
				continue // destroyed by the same set, or meanwhile
			}
			if m, err := decodeValues(o.Value); err == nil {
				emails[id], _ = m["emailId"].(string)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	update, destroy := map[string]any{}, []any{}
	for id, patch := range updates {
		if emails[id] != "" {
			update[emails[id]] = patch
		}
	}
	for _, id := range destroys {
		if emails[id] != "" {
			destroy = append(destroy, emails[id])
		}
	}
	if len(update)+len(destroy) == 0 {
		return nil
	}
	c.imply("Email/set", map[string]any{"accountId": c.acct.id, "update": update, "destroy": destroy})
	return nil
}

// destroyed are the ids that the response of a /set names as such.
func destroyed(out wire.Object) []string {
	v, _ := out.Member("destroyed")
	list, _ := v.([]string)
	return list
}

// imply calls another method and adds its response behind this one's.
func (c *call) imply(name string, args map[string]any) {
	next := &call{Server: c.Server, ctx: c.ctx, who: c.who, req: c.req, id: c.id, method: c.methods[name], args: args}
	err := next.bind()
	var out wire.Object
	if err == nil {
		out, err = next.method.do(next)
	}
	if err != nil {
		e, internal := asMethodError(err)
		if internal {
			c.failed(c.ctx, "jmap: method failed", "method", name, "account", uint64(c.who.account.ID), "err", err)
		}
		c.implied = append(c.implied, response{"error", e.object(), c.id})
		return
	}
	c.implied = append(c.implied, response{name, out, c.id})
}
