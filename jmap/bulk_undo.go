package jmap

import (
	"encoding/base64"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// backward undoes one batch, the last first.
func (b *batch) backward(s *setter, job values) error {
	var last store.Object
	if err := s.tx.Objects(store.ObjectJob, func(o store.Object) bool {
		if strings.HasPrefix(o.ID, b.id+"-") && o.ID != b.id+"-ids" && len(o.Value) > 0 {
			last = o
		}
		return true
	}); err != nil {
		return err
	}
	if last.ID == "" {
		job["status"] = "undone"
		return nil
	}
	undo, err := decodeValues(last.Value)
	if err != nil {
		return err
	}
	n := 0
	for _, was := range undone(undo) {
		ids := was.ids
		n += len(ids)
		for len(ids) > 0 {
			now := ids
			if b.singly {
				now = ids[:1]
			}
			ids = ids[len(now):]
			err := b.restore(s, now, was)
			if _, ours := asSetError(err); err != nil && (!ours || !b.singly) {
				return err
			}
		}
	}
	job["done"] = max(0, int(uintOf(job["done"]))-n)
	return s.tx.DeleteObject(store.ObjectJob, last.ID)
}

// A past is what some messages were.
type past struct {
	ids      []store.EmailID
	in       any
	keywords map[string]any
}

// undone reads a record of forward, also of the form with an entry for each message.
func undone(undo values) (list []past) {
	add := func(v any, ids []store.EmailID) {
		was, _ := v.(map[string]any)
		if text, ok := was["ids"].(string); ok {
			raw, _ := base64.StdEncoding.DecodeString(text)
			ids = decodeIDs(raw)
		}
		keywords, _ := was["keywords"].(map[string]any)
		list = append(list, past{ids, was["in"], keywords})
	}
	if groups, ok := undo["groups"].([]any); ok {
		for _, g := range groups {
			add(g, nil)
		}
		return list
	}
	for _, id := range sortedNames(undo) {
		n, _ := parseEmailID(id)
		add(undo[id], []store.EmailID{n})
	}
	return list
}

// restore brings messages back to what they were, if they are still there.
func (b *batch) restore(s *setter, ids []store.EmailID, was past) error {
	groups, err := b.alike(s, ids)
	if err != nil || len(groups) == 0 {
		return err
	}
	back, err := s.returnTo(was.in, 0)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if s.acct.shared {
			if err := s.restoreOne(g.ids, back, flagChanges(g.e.keywords, was.keywords)); err != nil {
				return err
			}
			continue
		}
		if err := s.tx.SetMailboxesOf(g.ids, back); err != nil {
			return err
		}
		if err := s.flagAll(g.ids, flagChanges(g.e.keywords, was.keywords)); err != nil {
			return err
		}
	}
	return nil
}

// restoreOne is what restore does in the account of somebody else, a message at a time.
func (s *setter) restoreOne(ids []store.EmailID, back []store.MailboxID, flags []store.FlagChange) error {
	for _, id := range ids {
		if _, err := s.tx.SetMailboxes(id, store.MailboxChange{Add: back, Only: true}); err != nil {
			return err
		}
		for _, ch := range flags {
			if _, err := s.tx.SetEmailFlags(id, ch); err != nil {
				return err
			}
		}
	}
	return nil
}

// undoBulk turns a job round.
func undoBulk(c *call) (wire.Object, error) {
	id := c.str("jobId")
	err := c.acct.Update(c.ctx, func(tx *store.Tx) error {
		o, err := tx.Object(store.ObjectJob, id)
		if mail.KindOf(err) == mail.NotFound && err != nil || strings.Contains(id, "-") {
			return invalidArguments("there is no such job")
		}
		if err != nil {
			return err
		}
		job, err := decodeValues(o.Value)
		if err != nil {
			return err
		}
		if c.acct.shared && sender(job, c.acct.ID()) != c.who.account.ID {
			return invalidArguments("there is no such job")
		}
		if job["destroy"] == true || job["status"] == "undone" {
			return invalidArguments("the job cannot be undone")
		}
		job["status"] = "undoing"
		return tx.PutObject(store.ObjectJob, id, wire.Append(nil, map[string]any(job)), nil)
	})
	if err != nil {
		return nil, err
	}
	c.timers.set(alarm{c.acct.ID(), store.ObjectJob, id}, c.opts.Now())
	return c.head().With("jobId", id), nil
}
