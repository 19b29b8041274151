package admin

import "context"

func queueBounce(ctx context.Context, s *System, in QueuePick) (QueueChanged, error) {
	return s.each(ctx, "queue.bounce", in, func(q Queue, id string) error { return q.Bounce(ctx, id) })
}
