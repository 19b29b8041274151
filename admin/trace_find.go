package admin

import (
	"context"
	"time"

	"posthouse/mail"
	"posthouse/trace"
)

// TraceFind is the input of trace.find: all that is given must hold.
type TraceFind struct {
	What      string    `json:"what"` // an address, a Message-ID, or an id from a log line, a reply or the queue
	From      string    `json:"from"` // "<>": the null reverse-path
	To        string    `json:"to"`
	MessageID string    `json:"messageId"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Limit     int       `json:"limit"` // 0: 20
}

// Traces is the output of trace.find, the oldest message first.
type Traces struct {
	V        int             `json:"v"`
	Messages []TracedMessage `json:"messages"`
	More     bool            `json:"more"` // there are older ones
}

// A TracedMessage is the story of one message.
type TracedMessage struct {
	ID    string           `json:"id"`
	Story []trace.Sentence `json:"story"`
}

func traceFind(ctx context.Context, s *System, in TraceFind) (Traces, error) {
	const op = "trace.find"
	out := Traces{V: 1, Messages: []TracedMessage{}}
	switch {
	case s.Trace == nil:
		return out, refuse(mail.Unavailable, op, "nothing is remembered here")
	case in.Limit < 0 || in.Limit > 1000:
		return out, refuse(mail.Invalid, op, "the limit is 1 to 1,000")
	}
	found, more, err := s.Trace.Find(ctx, trace.Query{Any: in.What, From: in.From, To: in.To, MessageID: in.MessageID,
		Since: in.Since, Until: in.Until, Limit: in.Limit})
	if err != nil {
		return out, err
	}
	for i := range found {
		out.Messages = append(out.Messages, TracedMessage{ID: found[i].ID, Story: found[i].Tell()})
	}
	out.More = more
	return out, nil
}
