package jmap

import (
	"context"
	"errors"
	"io"
	"maps"
	"sync"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// What became of a submission's recipients elsewhere is told by the queue, when it is
// durable there, and is noted in the submission: RFC 8621 §7, deliveryStatus.

// A Sent is what the queue says of one recipient of a message.
type Sent struct {
	Address mail.Address
	State   string     // waiting, delivered, failed, expired
	Reply   mail.Reply // the last; code 0: nobody was asked yet
	Here    bool       // delivered: to a mailbox of this server
}

// statuses are what was told and is not noted yet.
type statuses struct {
	mu      sync.Mutex // a leaf
	waiting map[outgoing]submitted
	told    map[outgoing]map[string]Sent
	wake    chan struct{}
}

// A submitted is a submission of an account.
type submitted struct {
	account mail.AccountID
	id      string
}

// An outgoing is a message that an account sent, perhaps for another, by its trace id.
type outgoing struct {
	account mail.AccountID
	trace   string
}

// expect notes that the queue will tell of a message.
func (s *statuses) expect(o outgoing, submission submitted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[o] = submission
}

func (s *statuses) forget(o outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, o)
	delete(s.told, o)
}

// take returns what was told, with the submissions that it is about.
func (s *statuses) take() (told map[outgoing]map[string]Sent, of map[outgoing]submitted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	told, s.told = s.told, map[outgoing]map[string]Sent{}
	of = make(map[outgoing]submitted, len(told))
	for o := range told {
		of[o] = s.waiting[o]
	}
	return told, of
}

// Told takes what the queue says of a message that an account sent. It does not wait.
func (s *Server) Told(account mail.AccountID, trace string, list []Sent) {
	st := &s.statuses
	o := outgoing{account, trace}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.waiting[o].id == "" {
		return
	}
	if st.told[o] == nil {
		st.told[o] = map[string]Sent{}
	}
	for _, r := range list {
		st.told[o][r.Address.String()] = r
	}
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// noteStatuses writes down what is told, until ctx ends.
func (s *Server) noteStatuses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.statuses.wake:
		}
		told, of := s.statuses.take()
		for o, list := range told {
			done, err := s.noteStatus(ctx, of[o], list)
			switch {
			case err != nil && ctx.Err() == nil:
				s.log.Warn("jmap: what became of a message was not noted", "account", uint64(o.account), "tid", o.trace, "err", err)
			case done:
				s.statuses.forget(o)
			}
		}
	}
}

// noteStatus puts the statuses of recipients into a submission; done: nothing more is
// to come.
func (s *Server) noteStatus(ctx context.Context, submission submitted, list map[string]Sent) (done bool, err error) {
	acct, err := s.opts.Store.Account(ctx, submission.account)
	if err != nil {
		return mail.KindOf(err) == mail.NotFound, err
	}
	err = acct.Update(ctx, func(tx *store.Tx) error {
		o, err := tx.Object(store.ObjectSubmission, submission.id)
		if err != nil {
			if done = mail.KindOf(err) == mail.NotFound; done {
				err = nil
			}
			return err
		}
		m, err := decodeValues(o.Value)
		if err != nil {
			return err
		}
		all, _ := m["deliveryStatus"].(map[string]any)
		changed := false
		for to, r := range list {
			if was, there := all[to].(map[string]any); there {
				is := maps.Clone(was)
				r.note(is)
				changed = changed || !maps.Equal(was, is)
				all[to] = is
			}
		}
		done = !isQueued(m)
		if !changed {
			return nil
		}
		return tx.PutObject(store.ObjectSubmission, submission.id, wire.Append(nil, map[string]any(m)), nil)
	})
	return done, err
}

// note puts what is told into a DeliveryStatus.
func (r *Sent) note(m map[string]any) {
	if r.State == "delivered" && !r.Here && m["delivered"] != "queued" {
		return // a report that came before says more
	}
	if r.Reply.Code != 0 {
		m["smtpReply"] = r.Reply.String()
	}
	switch r.State {
	case "delivered":
		m["delivered"] = "unknown" // it is with a server that says no more
		if r.Here {
			m["delivered"] = "yes"
		}
	case "failed", "expired":
		m["delivered"] = "no"
	}
}

// isQueued reports whether the fate of a recipient is open.
func isQueued(m values) bool {
	all, _ := m["deliveryStatus"].(map[string]any)
	for _, v := range all {
		if one, _ := v.(map[string]any); one["delivered"] == "queued" {
			return true
		}
	}
	return false
}

// loadStatuses finds the submissions of which the queue will tell. What it does not
// have any more it told while nobody could write it down.
func (s *Server) loadStatuses(ctx context.Context) error {
	type lost struct {
		outgoing
		of  submitted
		all map[string]any
	}
	var open []lost
	if err := s.opts.Store.EachObject(ctx, store.ObjectSubmission, func(id mail.AccountID, o store.Object) bool {
		m, err := decodeValues(o.Value)
		if trace, _ := m["traceId"].(string); err == nil && trace != "" && isQueued(m) {
			all, _ := m["deliveryStatus"].(map[string]any)
			l := lost{outgoing{sender(m, id), trace}, submitted{id, o.ID}, all}
			open = append(open, l)
			s.statuses.expect(l.outgoing, l.of)
		}
		return true
	}); err != nil || len(open) == 0 || s.opts.Queued == nil {
		return err
	}
	queued := map[string]bool{}
	if err := s.opts.Queued(ctx, func(account mail.AccountID, trace string, list []Sent) bool {
		queued[trace] = true
		s.Told(account, trace, list)
		return true
	}); err != nil {
		return err
	}
	var errs []error
	for _, l := range open {
		if queued[l.trace] {
			continue
		}
		gone := map[string]Sent{}
		for to, v := range l.all {
			if one, _ := v.(map[string]any); one["delivered"] == "queued" {
				gone[to] = Sent{State: "delivered"} // unknown
			}
		}
		_, err := s.noteStatus(ctx, l.of, gone)
		errs = append(errs, err)
		s.statuses.forget(l.outgoing)
	}
	return errors.Join(errs...)
}

// keepOutgoing keeps the bytes of a submission that waits, so that it goes even if its
// message is destroyed meanwhile.
func (s *Server) keepOutgoing(ctx context.Context, acct *store.Account, id string, e *email) error {
	b, err := e.open()
	if err != nil {
		return err
	}
	defer b.Close()
	m, err := s.opts.Store.Stage(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := io.Copy(m, io.NewSectionReader(b, 0, b.Size())); err != nil {
		return err
	}
	if err := m.Finish(); err != nil {
		return err
	}
	return acct.Update(ctx, func(tx *store.Tx) error {
		o, err := tx.Object(store.ObjectSubmission, id)
		if err != nil {
			return err
		}
		if sub, err := decodeValues(o.Value); err != nil || sub["undoStatus"] != "pending" {
			return err
		}
		return tx.PutObject(store.ObjectOutgoing, id, []byte("{}"), m)
	})
}

// dropOutgoing forgets the bytes, if any are kept.
func dropOutgoing(tx *store.Tx, id string) error {
	err := tx.DeleteObject(store.ObjectOutgoing, id)
	if mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

// outgoing returns the message of a submission from the bytes that were kept; nil if
// none were.
func (c *call) outgoing(id string) (*email, error) {
	var o store.Object
	err := c.acct.View(c.ctx, func(v *store.View) (err error) {
		o, err = v.Object(store.ObjectOutgoing, id)
		return err
	})
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body, err := c.acct.OpenObject(c.ctx, &o)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return &email{size: body.Size(), open: func() (store.Body, error) { return c.acct.OpenObject(c.ctx, &o) }}, nil
}
