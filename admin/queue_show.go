package admin

import (
	"context"

	"posthouse/mail"
	"posthouse/queue"
)

func queueShow(ctx context.Context, s *System, in Named) (QueueMessage, error) {
	id, err := queue.ParseID(in.Name)
	if err != nil {
		return QueueMessage{}, refuse(mail.Invalid, "queue.show", "%q is not an id as `posthouse queue list` shows them", in.Name)
	}
	info, err := s.Queue.Show(ctx, id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return QueueMessage{}, refuse(mail.NotFound, "queue.show", "there is no %s in the queue (delivered meanwhile?)", in.Name)
	}
	return showQueued(info), err
}
