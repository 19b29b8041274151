package delivery

import (
	"context"
	"errors"

	"posthouse/mail"
	"posthouse/store"
)

// Replies that several files give.
var (
	replyOK         = mail.Reply{Code: 250, Enhanced: [3]uint8{2, 1, 5}, Text: "Ok"}
	replySenderOK   = mail.Reply{Code: 250, Enhanced: [3]uint8{2, 1, 0}, Text: "Ok"}
	replyNoUser     = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}, Text: "No such mailbox here"}
	replyNoRelay    = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "Relaying denied"}
	replyNotOwner   = mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "You may not send as this address"}
	replyNoAccount  = mail.Reply{Code: 530, Enhanced: [3]uint8{5, 7, 0}, Text: "Authentication required"}
	replyFull       = mail.Reply{Code: 452, Enhanced: [3]uint8{4, 3, 1}, Text: "Out of disk space, try again later"}
	replyShutdown   = mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 2}, Text: "Interrupted, try again later"}
	replyNotNow     = mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 0}, Text: "Try again later"}
	replyLongHeader = mail.Reply{Code: 552, Enhanced: [3]uint8{5, 3, 4}, Text: "The header is too long"}
)

// replies is the one table from Kind to what SMTP answers.
type replies map[mail.Kind]mail.Reply

func repliesFor(refuseOverQuota bool) replies {
	overQuota := mail.Reply{Code: 452, Enhanced: [3]uint8{4, 2, 2}, Text: "The mailbox is full, try again later"}
	if refuseOverQuota {
		overQuota = mail.Reply{Code: 552, Enhanced: [3]uint8{5, 2, 2}, Text: "The mailbox is full"}
	}
	return replies{
		mail.Internal:    replyNotNow,
		mail.NotFound:    replyNoUser,
		mail.Exists:      replyNotNow,
		mail.Denied:      {Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "Not allowed"},
		mail.OverQuota:   overQuota,
		mail.TooLarge:    {Code: 552, Enhanced: [3]uint8{5, 3, 4}, Text: "The message is too large"},
		mail.Conflict:    replyNotNow,
		mail.Unavailable: replyNotNow,
		mail.Invalid:     {Code: 554, Enhanced: [3]uint8{5, 6, 0}, Text: "The message cannot be stored"},
		mail.Corrupt:     replyNotNow,
	}
}

// reply is what the peer hears of err.
func (s *Service) reply(err error) mail.Reply {
	switch {
	case errors.Is(err, store.ErrFull):
		return replyFull
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return replyShutdown
	}
	return s.kinds[mail.KindOf(err)]
}
