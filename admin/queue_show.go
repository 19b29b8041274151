package admin

import "context"

func queueShow(ctx context.Context, s *System, in Named) (QueueMessage, error) {
	q, err := s.queue("queue.show")
	if err != nil {
		return QueueMessage{}, err
	}
	return q.Show(ctx, in.Name)
}
