package admin

import "context"

func queueHold(ctx context.Context, s *System, in QueuePick) (QueueChanged, error) {
	return s.each(ctx, "queue.hold", in, s.Queue.Hold)
}
