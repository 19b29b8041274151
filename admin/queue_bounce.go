package admin

import (
	"context"

	"posthouse/mail"
)

// queueBounce needs a running server, which takes the reports to the senders.
func queueBounce(ctx context.Context, s *System, in QueuePick) (QueueChanged, error) {
	if s.Status == nil {
		return QueueChanged{}, refuse(mail.Unavailable, "queue.bounce", "only a running server can tell the senders: start it first")
	}
	return s.each(ctx, "queue.bounce", in, s.Queue.Bounce)
}
