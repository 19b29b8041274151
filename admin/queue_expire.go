package admin

import (
	"context"
	"time"

	"posthouse/mail"
	"posthouse/queue"
)

// QueueExpire is the input of queue.expire.
type QueueExpire struct {
	QueuePick
	Seconds int64 `json:"seconds"` // from now
}

func queueExpire(ctx context.Context, s *System, in QueueExpire) (QueueChanged, error) {
	if in.Seconds <= 0 {
		return QueueChanged{}, refuse(mail.Invalid, "queue.expire", "say in how long, as --in 2d")
	}
	at := time.Now().Add(time.Duration(min(in.Seconds, 365*86400)) * time.Second)
	return s.each(ctx, "queue.expire", in.QueuePick, func(ctx context.Context, id queue.ID) error { return s.Queue.SetExpiry(ctx, id, at) })
}
