package admin

import "context"

func queueRetry(ctx context.Context, s *System, in QueuePick) (QueueChanged, error) {
	return s.each(ctx, "queue.retry", in, s.Queue.Retry)
}
