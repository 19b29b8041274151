package jmap

import (
	"maps"
	"slices"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// copyMethod is Email/copy, RFC 8621 §4.7.
func copyMethod() *method {
	return &method{name: "Email/copy", capability: capMail, args: []wire.Field{{Name: "fromAccountId", Type: "Id"}, {Name: "ifFromInState?", Type: "String"},
		{Name: "ifInState?", Type: "String"}, {Name: "create", Type: "Id[EmailCopy]"}, {Name: "onSuccessDestroyOriginal?", Type: "Boolean"},
		{Name: "destroyFromIfInState?", Type: "String"}}, do: copyEmails}
}

func copyEmails(c *call) (wire.Object, error) {
	create := c.object("create")
	if len(create) > c.limits.Set {
		return nil, refused("requestTooLarge", "more emails than maxObjectsInSet")
	}
	from, err := c.account(c.ctx, c.who, c.str("fromAccountId"))
	if err != nil {
		return nil, fromAccountError(err)
	}
	if from.id == c.acct.id {
		return nil, invalidArguments("both accounts are the same")
	}
	source := &call{Server: c.Server, ctx: c.ctx, who: c.who, req: c.req, acct: from, args: map[string]any{}, method: c.method}
	if want := c.str("ifFromInState"); want != "" {
		same := false
		if err := source.view(func(v *store.View) (err error) {
			same, err = c.types["Email"].unchanged(source, v, want)
			return err
		}); err != nil {
			return nil, err
		}
		if !same {
			return nil, refused("stateMismatch", "")
		}
	}
	var list []*arrival
	for _, name := range slices.Sorted(maps.Keys(create)) {
		a, err := c.arrivalFrom(source, name, create[name].(map[string]any))
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	out, err := c.fileAll(list)
	if err != nil {
		return nil, err
	}
	out = append(wire.Object{{Name: "fromAccountId", Value: from.id}}, out...)
	if c.flag("onSuccessDestroyOriginal") {
		c.destroyOriginals(from.id, list)
	}
	return out, nil
}

// fromAccountError is why the account cannot be used from which is copied, RFC 8620 §5.4.
func fromAccountError(err error) error {
	if e, _ := asMethodError(err); e.kind == "accountNotFound" {
		return refused("fromAccountNotFound", "")
	}
	return err
}

// arrivalFrom reads one message of another account.
func (c *call) arrivalFrom(source *call, name string, m map[string]any) (*arrival, error) {
	a := &arrival{name: name}
	a.mailboxes, _ = m["mailboxIds"].(map[string]any)
	a.keywords, _ = m["keywords"].(map[string]any)
	text, _ := m["id"].(string)
	id, ok := parseEmailID(c.req.idOf(text))
	var e *email
	if ok {
		if err := source.view(func(v *store.View) (err error) {
			r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
			e, err = source.loadEmail(&r, id)
			return err
		}); err != nil {
			return nil, err
		}
	}
	if e == nil {
		a.refusal = unfit("notFound", "")
		return a, nil
	}
	data, err := wholeBlob(e).read(c.opts.Store.Limits().MessageBytes)
	if err == nil {
		a.draft, err = c.stage(data)
	}
	if se, mine := asSetError(err); mine {
		a.refusal = se
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	a.from = emailID(id)
	if a.draft.received = dateOf(m["receivedAt"]); a.draft.received.IsZero() {
		a.draft.received = dateOf(utcDate(e.received))
	}
	if m["keywords"] == nil {
		a.keywords = map[string]any{}
		for k := range e.keywords {
			if _, valid := flagOf(k); valid {
				a.keywords[k] = true
			}
		}
	}
	return a, nil
}

// destroyOriginals removes what was copied, RFC 8620 §5.4: an implicit Email/set.
func (c *call) destroyOriginals(from string, list []*arrival) {
	gone := []any{}
	for _, a := range list {
		if a.refusal == nil && a.from != "" && c.req.created[a.name] != "" {
			gone = append(gone, a.from)
		}
	}
	if len(gone) == 0 {
		return
	}
	args := map[string]any{"accountId": from, "destroy": gone}
	if s := c.str("destroyFromIfInState"); s != "" {
		args["ifInState"] = s
	}
	c.imply("Email/set", args)
}
