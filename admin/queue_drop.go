package admin

import "context"

func queueDrop(ctx context.Context, s *System, in QueuePick) (QueueChanged, error) {
	return s.each(ctx, "queue.drop", in, s.Queue.Drop)
}
