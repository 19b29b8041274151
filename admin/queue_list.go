package admin

import (
	"context"

	"posthouse/mail"
)

// QueueList is the input of queue.list.
type QueueList struct {
	Domain string `json:"domain"` // only messages with a recipient there
	Limit  int    `json:"limit"`  // 0: 1,000
}

// QueueMessages is the output of queue.list, oldest first.
type QueueMessages struct {
	V        int            `json:"v"`
	Messages []QueueMessage `json:"messages"`
	More     int            `json:"more"` // beyond the limit
}

func queueList(ctx context.Context, s *System, in QueueList) (QueueMessages, error) {
	out := QueueMessages{V: 1, Messages: []QueueMessage{}}
	q, err := s.queue("queue.list")
	if err != nil {
		return out, err
	}
	var only mail.Domain
	if in.Domain != "" {
		if only, err = normalDomain("queue.list", in.Domain); err != nil {
			return out, err
		}
	}
	if in.Limit <= 0 {
		in.Limit = 1000
	}
	err = q.List(ctx, func(m QueueMessage) bool {
		switch {
		case only != "" && !m.sentTo(only):
		case len(out.Messages) >= in.Limit:
			out.More++
		default:
			out.Messages = append(out.Messages, m)
		}
		return true
	})
	return out, err
}
