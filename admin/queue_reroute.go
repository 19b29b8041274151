package admin

import (
	"context"

	"posthouse/mail"
	"posthouse/queue"
)

// QueueReroute is the input of queue.reroute.
type QueueReroute struct {
	QueuePick
	To string `json:"to"` // host:port; "": as the configuration and the MX say
}

func queueReroute(ctx context.Context, s *System, in QueueReroute) (QueueChanged, error) {
	return s.each(ctx, "queue.reroute", in.QueuePick, func(ctx context.Context, id queue.ID) error {
		err := s.Queue.Reroute(ctx, id, in.To)
		if mail.KindOf(err) == mail.Invalid && err != nil {
			return refuse(mail.Invalid, "queue.reroute", "%q is not host:port, as relay.example.net:25", in.To)
		}
		return err
	})
}
