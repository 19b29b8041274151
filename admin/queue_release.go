package admin

import "context"

func queueRelease(ctx context.Context, s *System, in QueuePick) (QueueChanged, error) {
	return s.each(ctx, "queue.release", in, s.Queue.Release)
}
