package admin

import (
	"context"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/queue"
)

// A QueueMessage is a message that waits for other servers.
type QueueMessage struct {
	ID          string           `json:"id"`
	TraceID     string           `json:"tid"`
	From        string           `json:"from"` // "": the null reverse-path, as of bounces
	Size        int64            `json:"size"`
	Arrived     time.Time        `json:"arrived"`
	Destination string           `json:"destination"` // a domain, or the server of a route
	Attempts    int              `json:"attempts"`
	NextAttempt time.Time        `json:"nextAttempt"` // zero if held
	Held        bool             `json:"held"`
	Sending     bool             `json:"sending"` // an attempt is under way
	Expires     time.Time        `json:"expires"` // goes back to its sender then
	Recipients  []QueueRecipient `json:"recipients"`
}

// A QueueRecipient is one recipient of the message.
type QueueRecipient struct {
	Address   string `json:"address"`
	State     string `json:"state"`     // waiting, delivered, failed or expired
	LastReply string `json:"lastReply"` // the other server's words, or what failed
	Host      string `json:"host"`      // who said so
}

// QueuePick is the input of the operations that change the queue.
type QueuePick struct {
	IDs    []string `json:"ids"`
	All    bool     `json:"all"`
	Domain string   `json:"domain"` // all that have a recipient there
	From   string   `json:"from"`   // all with this reverse-path; "<>": with none
}

// QueueChanged is the output of the operations that change the queue.
type QueueChanged struct {
	V   int      `json:"v"`
	IDs []string `json:"ids"`
}

func showQueued(in queue.Info) QueueMessage {
	m := QueueMessage{
		ID: in.ID.String(), TraceID: in.TraceID, From: in.Sender.String(), Destination: in.Destination, Size: in.Size,
		Arrived: in.Arrived.UTC(), Attempts: in.Attempts, NextAttempt: in.NextAttempt.UTC(), Held: in.Held, Sending: in.Active, Expires: in.Expires.UTC(),
		Recipients: []QueueRecipient{},
	}
	for _, r := range in.Recipients {
		shown := QueueRecipient{Address: r.Address.String(), State: r.State, Host: r.Host}
		if r.LastReply.Code != 0 {
			shown.LastReply = r.LastReply.String()
		}
		m.Recipients = append(m.Recipients, shown)
	}
	return m
}

// each applies f to every message of the pick. One that went meanwhile was
// delivered, which is no failure unless it was named.
func (s *System) each(ctx context.Context, op string, pick QueuePick, f func(context.Context, queue.ID) error) (QueueChanged, error) {
	out := QueueChanged{V: 1, IDs: []string{}}
	ids, err := s.picked(ctx, op, pick)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		err := f(ctx, id)
		if err != nil && (mail.KindOf(err) != mail.NotFound || len(pick.IDs) > 0) {
			return out, err
		}
		if err == nil {
			out.IDs = append(out.IDs, id.String())
		}
	}
	return out, nil
}

// picked returns the messages that are meant.
func (s *System) picked(ctx context.Context, op string, pick QueuePick) ([]queue.ID, error) {
	var ids []queue.ID
	for _, text := range pick.IDs {
		id, err := queue.ParseID(text)
		if err != nil {
			return nil, refuse(mail.Invalid, op, "%q is not an id as `posthouse queue list` shows them", text)
		}
		ids = append(ids, id)
	}
	if !pick.All && pick.Domain == "" && pick.From == "" {
		if len(ids) == 0 {
			return nil, refuse(mail.Invalid, op, "name the messages: ids as `posthouse queue list` shows them, --domain, --from or --all")
		}
		return ids, nil
	}
	var only mail.Domain
	if pick.Domain != "" {
		var err error
		if only, err = normalDomain(op, pick.Domain); err != nil {
			return nil, err
		}
	}
	err := s.Queue.List(ctx, 0, func(in queue.Info) bool {
		from := pick.From == "" || strings.EqualFold(in.Sender.String(), strings.Trim(pick.From, "<>"))
		if from && (only == "" || sentTo(in, only)) {
			ids = append(ids, in.ID)
		}
		return true
	})
	return ids, err
}

func sentTo(in queue.Info, dom mail.Domain) bool {
	for _, r := range in.Recipients {
		if r.Address.Domain == dom {
			return true
		}
	}
	return false
}
