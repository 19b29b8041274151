package jmap

import (
	"context"
	"slices"
	"strconv"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A message that is snoozed is in the mailbox Snoozed until a time; then it is back
// where it was, unread, with the keyword $unsnoozed. That is a durable object with the
// id of the message. Property and names are those of Cyrus' snoozed.

const (
	snoozedPath      = "Snoozed"
	unsnoozedKeyword = "$unsnoozed"
)

// snoozedProperty is the vendor property "snoozed" of Email.
func snoozedProperty() property {
	return property{name: "snoozed", typ: "Snoozed|null", mode: optional | onRequest, get: ofEmail(func(g *getter, e *email) (any, error) {
		o, err := g.v.Object(store.ObjectSnooze, emailID(e.id))
		if mail.KindOf(err) == mail.NotFound && err != nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		m, err := decodeValues(o.Value)
		if err != nil {
			return nil, err
		}
		return map[string]any{"until": m["until"]}, nil
	})}
}

// surfacedProperty is when a message came, or came back: the order of a list in which
// what was snoozed returns to the top.
func surfacedProperty() property {
	return property{name: "surfacedAt", typ: "UTCDate", mode: serverSet | onRequest, get: ofEmail(func(g *getter, e *email) (any, error) {
		at := e.received
		if e.keywords[unsnoozedKeyword] {
			r := rows{v: g.v, snaps: map[store.MailboxID]*store.Snapshot{}}
			for _, p := range e.places {
				if row, _, ok := r.row(p); ok {
					at = max(at, row.SaveDate)
				}
			}
		}
		return utcDate(at), nil
	})}
}

// snooze puts a message away, or brings it back for null.
func (s *setter) snooze(e *email, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return s.unsnooze(e.id, false)
	}
	until, _ := m["until"].(string)
	at := dateOf(until)
	if !at.After(s.tx.Now()) {
		return invalidProperties("the time is over", "snoozed")
	}
	back := []any{}
	o, err := s.tx.Object(store.ObjectSnooze, emailID(e.id))
	if err == nil { // again: it returns to where it was first
		was, err := decodeValues(o.Value)
		if err != nil {
			return err
		}
		back, _ = was["return"].([]any)
	} else {
		for _, p := range e.places {
			back = append(back, int64(p.Mailbox))
		}
	}
	box, err := s.snoozedMailbox()
	if err != nil {
		return err
	}
	if _, err := s.tx.SetMailboxes(e.id, store.MailboxChange{Add: []store.MailboxID{box}, Only: true}); err != nil {
		return err
	}
	rec := wire.Append(nil, map[string]any{"until": until, "return": back, "since": utcDate(s.tx.Now().Unix())})
	if err := s.tx.PutObject(store.ObjectSnooze, emailID(e.id), rec, nil); err != nil {
		return err
	}
	s.afterwards = append(s.afterwards, func() { s.timers.set(alarm{s.acct.ID(), store.ObjectSnooze, emailID(e.id)}, at) })
	return nil
}

// snoozedMailbox is the mailbox of what is put away, made if it is not there.
func (s *setter) snoozedMailbox() (store.MailboxID, error) {
	m, err := s.tx.Mailbox(snoozedPath)
	if err == nil && !m.NoSelect {
		return m.ID, nil
	}
	if err := s.ownerOnly(); err != nil { // or it may not be seen
		return 0, err
	}
	return s.tx.CreateMailbox(store.NewMailbox{Path: snoozedPath, Subscribe: true})
}

// snoozed returns how a message was put away, if it was.
func snoozed(tx *store.Tx, id string) (m values, was bool, err error) {
	o, err := tx.Object(store.ObjectSnooze, id)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			err = nil
		}
		return nil, false, err
	}
	m, err = decodeValues(o.Value)
	return m, err == nil, err
}

// unsnooze brings a message back; surface makes it unread and marks it.
func (s *setter) unsnooze(id store.EmailID, surface bool) error {
	name := emailID(id)
	m, was, err := snoozed(s.tx, name)
	if err != nil || !was {
		return err
	}
	if err := s.tx.DeleteObject(store.ObjectSnooze, name); err != nil {
		return err
	}
	places, err := s.tx.Memberships(id)
	if err != nil {
		return err
	}
	box, err := s.tx.Mailbox(snoozedPath)
	if err != nil || !slices.ContainsFunc(places, func(p store.Membership) bool { return p.Mailbox == box.ID }) {
		return nil // somebody has taken it out already
	}
	back, err := s.returnTo(m["return"], box.ID)
	if err != nil {
		return err
	}
	if _, err := s.tx.SetMailboxes(id, store.MailboxChange{Add: back, Remove: []store.MailboxID{box.ID}}); err != nil {
		return err
	}
	if !surface {
		return nil
	}
	if _, err := s.tx.SetEmailFlags(id, store.FlagChange{Op: store.FlagsRemove, Flags: []mail.Flag{mail.FlagSeen}}); err != nil {
		return err
	}
	_, err = s.tx.SetEmailFlags(id, store.FlagChange{Op: store.FlagsAdd, Flags: []mail.Flag{unsnoozedKeyword}})
	return err
}

// returnTo are the mailboxes of a list that are still there, or else the inbox.
func (s *setter) returnTo(v any, except store.MailboxID) ([]store.MailboxID, error) {
	var back []store.MailboxID
	list, _ := v.([]any)
	for _, n := range list {
		id, _ := n.(int64)
		if m, err := s.tx.MailboxByID(store.MailboxID(id)); err == nil && !m.NoSelect && m.ID != except {
			back = append(back, m.ID)
		}
	}
	if back != nil {
		return back, nil
	}
	m, err := s.tx.Mailbox(inboxPath)
	if err != nil {
		return nil, err
	}
	return []store.MailboxID{m.ID}, nil
}

// loadSnoozes finds what is put away.
func (s *Server) loadSnoozes(ctx context.Context) error {
	return s.opts.Store.EachObject(ctx, store.ObjectSnooze, func(id mail.AccountID, o store.Object) bool {
		if m, err := decodeValues(o.Value); err == nil {
			s.timers.set(alarm{id, store.ObjectSnooze, o.ID}, dateOf(m["until"]))
		}
		return true
	})
}

// ringSnooze brings a message back when its time has come.
func (s *Server) ringSnooze(ctx context.Context, a alarm) error {
	acct, err := s.opts.Store.Account(ctx, a.account)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	id, ok := parseEmailID(a.id)
	if !ok {
		return nil
	}
	later := time.Time{}
	err = acct.Update(ctx, func(tx *store.Tx) error {
		later = time.Time{}
		m, was, err := snoozed(tx, a.id)
		if err != nil || !was {
			return err
		}
		if at := dateOf(m["until"]); at.After(s.opts.Now()) { // it was put away anew
			later = at
			return nil
		}
		one := &setter{call: &call{Server: s, ctx: ctx}, tx: tx}
		return one.unsnooze(id, true)
	})
	if err == nil && !later.IsZero() {
		s.timers.set(a, later)
	}
	return err
}

// uintOf reads a whole number of a record.
func uintOf(v any) uint64 {
	switch n := v.(type) {
	case int64:
		return uint64(n)
	case string:
		u, err := strconv.ParseUint(n, 10, 64)
		if err == nil {
			return u
		}
	}
	return 0
}
