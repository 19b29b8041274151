package admin

import (
	"context"
	"time"

	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtp/wire"
)

// Suppressions is the output of the operations about addresses that accounts do not write
// to.
type Suppressions struct {
	V            int           `json:"v"`
	Suppressions []Suppression `json:"suppressions"`
}

// A Suppression is an address to which accounts of a domain do not write.
type Suppression struct {
	From   string    `json:"from"` // domain here
	To     string    `json:"to"`
	Reason string    `json:"reason"` // bounced, complained, operator
	Said   string    `json:"said,omitempty"`
	Count  int       `json:"bounces,omitempty"`
	Stops  bool      `json:"stops"` // false: it came back once, which stops nothing yet
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// SuppressedPick is the input of queue.suppressed and queue.unsuppress.
type SuppressedPick struct {
	Domain  string `json:"domain,omitempty"`  // here; "": all
	Address string `json:"address,omitempty"` // elsewhere; "" is all of the list
}

// Suppress is the input of queue.suppress.
type Suppress struct {
	Domain  string `json:"domain"`
	Address string `json:"address"`
	Seconds int64  `json:"seconds,omitempty"` // from now on; 0: as after a bounce
	Why     string `json:"why,omitempty"`
}

func queueSuppressed(_ context.Context, s *System, in SuppressedPick) (Suppressions, error) {
	out := Suppressions{V: 1, Suppressions: []Suppression{}}
	now := time.Now()
	for _, q := range s.Queue.Suppressions() {
		if in.Domain == "" || string(q.From) == in.Domain {
			out.Suppressions = append(out.Suppressions, Suppression{string(q.From), q.To.String(), q.Reason, q.Said, q.Count, q.Stops(now), q.Since.UTC(), q.Until.UTC()})
		}
	}
	return out, nil
}

func queueSuppress(ctx context.Context, s *System, in Suppress) (Suppressions, error) {
	const op = "queue.suppress"
	d, err := s.domain(ctx, op, in.Domain)
	if err != nil {
		return Suppressions{}, err
	}
	to, err := s.elsewhere(ctx, op, in.Address)
	if err != nil {
		return Suppressions{}, err
	}
	if in.Seconds < 0 {
		return Suppressions{}, refuse(mail.Invalid, op, "the time is over already")
	}
	sup := queue.Suppression{From: d.Name, To: to, Reason: queue.ByOperator, Said: in.Why}
	if in.Seconds > 0 {
		sup.Until = time.Now().Add(time.Duration(in.Seconds) * time.Second)
	}
	if err := s.Queue.Suppress(ctx, sup); err != nil {
		return Suppressions{}, err
	}
	return queueSuppressed(ctx, s, SuppressedPick{Domain: string(d.Name)})
}

// elsewhere is an address that is not here: mail to those that are is never suppressed.
func (s *System) elsewhere(ctx context.Context, op, text string) (mail.Address, error) {
	to, err := wire.ParseAddress(text)
	if err != nil || to.Domain == "" {
		return to, refuse(mail.Invalid, op, "%q is not a mail address", text)
	}
	if here, err := s.Directory.IsLocal(ctx, to.Domain); err != nil || here {
		return to, refuse(mail.Invalid, op, "%s is here: mail to it is not suppressed", to)
	}
	return to, nil
}

func queueUnsuppress(ctx context.Context, s *System, in SuppressedPick) (Suppressions, error) {
	const op = "queue.unsuppress"
	to, err := wire.ParseAddress(in.Address)
	if err != nil {
		return Suppressions{}, refuse(mail.Invalid, op, "%q is not a mail address", in.Address)
	}
	if _, err := s.Queue.Unsuppress(ctx, mail.Domain(in.Domain), to); err != nil {
		return Suppressions{}, err
	}
	return queueSuppressed(ctx, s, SuppressedPick{Domain: in.Domain})
}
