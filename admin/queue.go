package admin

import (
	"context"
	"time"

	"posthouse/mail"
)

// A Queue is what the operations need of the queue. An id that is not there is
// NotFound.
type Queue interface {
	// List calls f with each message that waits, oldest first, until it returns
	// false.
	List(ctx context.Context, f func(QueueMessage) bool) error
	Show(ctx context.Context, id string) (QueueMessage, error)
	Retry(ctx context.Context, id string) error   // attempt now
	Hold(ctx context.Context, id string) error    // no attempts until Release
	Release(ctx context.Context, id string) error // after Hold
	Bounce(ctx context.Context, id string) error  // give up now, tell the sender
}

// A QueueMessage is a message that waits for other servers.
type QueueMessage struct {
	ID         string           `json:"id"`
	TraceID    string           `json:"tid"`
	From       string           `json:"from"` // "": the null reverse-path, as of bounces
	Size       int64            `json:"size"`
	Arrived    time.Time        `json:"arrived"`
	Held       bool             `json:"held"`
	Recipients []QueueRecipient `json:"recipients"`
}

// A QueueRecipient is one recipient that the message still has.
type QueueRecipient struct {
	Address     string    `json:"address"`
	State       string    `json:"state"` // waiting, sending, held …
	Attempts    int       `json:"attempts"`
	NextAttempt time.Time `json:"nextAttempt"`
	LastReply   string    `json:"lastReply"` // the other server's words, or what failed
}

// QueuePick is the input of the operations that change the queue.
type QueuePick struct {
	IDs    []string `json:"ids"`
	All    bool     `json:"all"`
	Domain string   `json:"domain"` // all that have a recipient there
}

// QueueChanged is the output of the operations that change the queue.
type QueueChanged struct {
	V   int      `json:"v"`
	IDs []string `json:"ids"`
}

func (s *System) queue(op string) (Queue, error) {
	if s.Queue == nil {
		return nil, refuse(mail.Unavailable, op, "the queue is served by a running server only: start it first")
	}
	return s.Queue, nil
}

// each applies f to every message of the pick. One that went meanwhile was
// delivered, which is no failure unless it was named.
func (s *System) each(ctx context.Context, op string, pick QueuePick, f func(Queue, string) error) (QueueChanged, error) {
	out := QueueChanged{V: 1, IDs: []string{}}
	q, err := s.queue(op)
	if err != nil {
		return out, err
	}
	ids := pick.IDs
	if pick.All || pick.Domain != "" {
		if ids, err = s.pickAll(ctx, q, op, pick.Domain); err != nil {
			return out, err
		}
	} else if len(ids) == 0 {
		return out, refuse(mail.Invalid, op, "name the messages: ids as `posthouse queue list` shows them, --domain or --all")
	}
	for _, id := range ids {
		err := f(q, id)
		if err != nil && (mail.KindOf(err) != mail.NotFound || len(pick.IDs) > 0) {
			return out, err
		}
		if err == nil {
			out.IDs = append(out.IDs, id)
		}
	}
	return out, nil
}

func (s *System) pickAll(ctx context.Context, q Queue, op, domain string) ([]string, error) {
	var only mail.Domain
	if domain != "" {
		var err error
		if only, err = normalDomain(op, domain); err != nil {
			return nil, err
		}
	}
	var ids []string
	err := q.List(ctx, func(m QueueMessage) bool {
		if only == "" || m.sentTo(only) {
			ids = append(ids, m.ID)
		}
		return true
	})
	return ids, err
}

func (m QueueMessage) sentTo(dom mail.Domain) bool {
	for _, r := range m.Recipients {
		if n := len(r.Address) - len(dom) - 1; n >= 0 && r.Address[n:] == "@"+string(dom) {
			return true
		}
	}
	return false
}
