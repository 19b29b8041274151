package jmap

import (
	"maps"
	"slices"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

func notFoundMember(ids ...string) wire.Member { return wire.Member{Name: "notFound", Value: ids} }

// importMethod is Email/import, RFC 8621 §4.8.
func importMethod() *method {
	return &method{name: "Email/import", capability: capMail,
		args: []wire.Field{{Name: "ifInState?", Type: "String"}, {Name: "emails", Type: "Id[EmailImport]"}}, do: importEmails}
}

// An arrival is a message to be filed, with where and how.
type arrival struct {
	name      string
	draft     *draft
	mailboxes map[string]any
	keywords  map[string]any
	refusal   *setError
	from      string // id that it had in the account that it is copied from
}

func importEmails(c *call) (wire.Object, error) {
	emails := c.object("emails")
	if len(emails) > c.limits.Set {
		return nil, refused("requestTooLarge", "more emails than maxObjectsInSet")
	}
	var list []*arrival
	for _, name := range slices.Sorted(maps.Keys(emails)) {
		m := emails[name].(map[string]any)
		a := &arrival{name: name}
		a.mailboxes, _ = m["mailboxIds"].(map[string]any)
		a.keywords, _ = m["keywords"].(map[string]any)
		list = append(list, a)
		id, _ := m["blobId"].(string)
		data, bad, err := c.messageBlob(id)
		if err != nil {
			return nil, err
		}
		if a.refusal = bad; bad != nil {
			continue
		}
		if a.draft, err = c.stage(data); err != nil {
			se, ok := asSetError(err)
			if !ok {
				return nil, err
			}
			a.refusal = se
			continue
		}
		if a.draft.received = dateOf(m["receivedAt"]); a.draft.received.IsZero() {
			a.draft.received = lastReceived(a.draft.staged.Message())
		}
	}
	return c.fileAll(list)
}

// lastReceived is the time of the newest Received field; zero without one.
func lastReceived(m *message.Message) time.Time {
	raw := m.Header.RawValue("Received")
	for i := len(raw) - 1; i >= 0; i-- {
		if raw[i] == ';' {
			if t, ok := message.ParseDate(raw[i+1:]); ok {
				return t
			}
			break
		}
	}
	return time.Time{}
}

// messageBlob reads a blob that should be a message.
func (c *call) messageBlob(id string) (data []byte, bad *setError, err error) {
	var b *blob
	if err := c.view(func(v *store.View) (err error) {
		b, err = c.blob(v, c.req.idOf(id))
		return err
	}); err != nil {
		return nil, nil, err
	}
	if b == nil {
		return nil, invalidProperties("there is no such blob", "blobId"), nil
	}
	data, err = b.read(c.opts.Store.Limits().MessageBytes)
	if se, ok := asSetError(err); ok {
		return nil, se, nil
	}
	return data, nil, err
}

// fileAll files messages in one transaction and answers as /import and /copy do.
func (c *call) fileAll(list []*arrival) (wire.Object, error) {
	for {
		s := &setter{}
		err := c.acct.Update(c.ctx, func(tx *store.Tx) error {
			*s = setter{call: c, tx: tx, fresh: map[string]string{}, moved: map[store.EmailID]bool{}, oldState: tx.LogEnd()}
			if want := c.str("ifInState"); want != "" {
				same, err := c.types["Email"].unchanged(c, &tx.View, want)
				if err != nil {
					return err
				}
				if !same {
					return refused("stateMismatch", "")
				}
			}
			for _, a := range list {
				if err := s.arrive(a); err != nil {
					return err
				}
			}
			s.newState = tx.LogAfter()
			return nil
		})
		if half, ok := asHalfway(err); ok {
			for _, a := range list {
				if a.name == half.key {
					a.refusal = half.err
				}
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(c.req.created, s.fresh)
		return c.head().With("oldState", stateAt(s.oldState)).With("newState", stateAt(s.newState)).
			With("created", orNull(s.created)).With("notCreated", orNull(s.notCreated)), nil
	}
}

func asHalfway(err error) (*halfway, bool) {
	h, ok := err.(*halfway)
	return h, ok
}

// arrive files one message.
func (s *setter) arrive(a *arrival) error {
	if a.refusal != nil {
		return s.fail(&s.notCreated, a.name, a.name, a.refusal)
	}
	boxes := map[string]any{}
	for id, v := range a.mailboxes {
		boxes[s.idOf(id)] = v
	}
	targets, bad := s.targets(boxes)
	if bad == nil {
		bad = checkKeywords(a.keywords)
	}
	if bad != nil {
		return s.fail(&s.notCreated, a.name, a.name, bad)
	}
	id, set, err := s.file(a.draft, targets, a.keywords)
	if err != nil {
		return s.fail(&s.notCreated, a.name, a.name, err)
	}
	s.fresh[a.name] = id
	s.created = s.created.With(a.name, append(wire.Object{{Name: "id", Value: id}}, set...))
	return nil
}

// parseMethod is Email/parse, RFC 8621 §4.9.
func parseMethod() *method {
	args := append([]wire.Field{{Name: "blobIds", Type: "Id[]"}, {Name: "properties?", Type: "String[]"}}, bodyGetArgs...)
	return &method{name: "Email/parse", capability: capMail, args: args, do: parseEmails}
}

// parsedDefaults are the properties of Email/parse.
var parsedDefaults = []string{"messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt",
	"hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"}

// filed are the properties that only a message in a mailbox has.
var filed = []string{"id", "mailboxIds", "keywords", "receivedAt", "threadId"}

func parseEmails(c *call) (wire.Object, error) {
	names := parsedDefaults
	if c.args["properties"] != nil {
		names = c.strs("properties")
	}
	t := c.types["Email"]
	var props []*property
	for _, n := range names {
		p := t.property(n)
		if p == nil {
			return nil, invalidArguments("there is no property " + n)
		}
		props = append(props, p)
	}
	args, err := c.bodyArgs()
	if err != nil {
		return nil, err
	}
	parsed, unfit := wire.Object{}, []string{}
	missing, err := c.eachBlob(c.strs("blobIds"), func(v *store.View, id string, b *blob) error {
		g := &getter{c, v}
		e, err := c.parsed(id, b)
		if err != nil && mail.KindOf(err) == mail.TooLarge {
			unfit = append(unfit, id)
			return nil
		}
		if err != nil {
			return err
		}
		if h, err := e.headerOf(g, 0); err != nil || h.Len() == 0 {
			unfit = append(unfit, id)
			return nil
		}
		e.args = args
		o, err := g.parsedObject(e, props)
		if err != nil {
			return err
		}
		parsed = parsed.With(id, o)
		return nil
	})
	return c.head().With("parsed", orNull(parsed)).With("notParsable", orNone(unfit)).With("notFound", orNone(missing)), err
}

// parsedObject reads the properties of a message that is in no mailbox.
func (g *getter) parsedObject(e *email, props []*property) (wire.Object, error) {
	var o wire.Object
	for _, p := range props {
		if slices.Contains(filed, p.name) {
			o = o.With(p.name, nil)
			continue
		}
		val, err := p.get(g, e)
		if err != nil {
			return nil, err
		}
		o = o.With(p.name, val)
	}
	return o, nil
}
