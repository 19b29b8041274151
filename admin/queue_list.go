package admin

import (
	"context"

	"posthouse/mail"
	"posthouse/queue"
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
	var only mail.Domain
	if in.Domain != "" {
		var err error
		if only, err = normalDomain("queue.list", in.Domain); err != nil {
			return out, err
		}
	}
	if in.Limit <= 0 {
		in.Limit = 1000
	}
	err := s.Queue.List(ctx, 0, func(m queue.Info) bool {
		switch {
		case only != "" && !sentTo(m, only):
		case len(out.Messages) >= in.Limit:
			out.More++
		default:
			out.Messages = append(out.Messages, showQueued(m))
		}
		return true
	})
	return out, err
}
