package admin

import (
	"context"

	"posthouse/mail"
	"posthouse/queue"
)

// QueueDetail is the output of queue.show.
type QueueDetail struct {
	V int `json:"v"`
	QueueMessage
}

func queueShow(ctx context.Context, s *System, in Named) (QueueDetail, error) {
	id, err := queue.ParseID(in.Name)
	if err != nil {
		return QueueDetail{}, refuse(mail.Invalid, "queue.show", "%q is not an id as `posthouse queue list` shows them", in.Name)
	}
	info, err := s.Queue.Show(ctx, id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return QueueDetail{}, refuse(mail.NotFound, "queue.show", "there is no %s in the queue (delivered meanwhile?)", in.Name)
	}
	return QueueDetail{V: 1, QueueMessage: showQueued(info)}, err
}
