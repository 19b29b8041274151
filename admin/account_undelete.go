package admin

import (
	"context"
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// AccountUndelete is the input of account.undelete.
type AccountUndelete struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"` // zero: all that is still there
}

// Undeleted is its output.
type Undeleted struct {
	V         int        `json:"v"`
	Messages  int        `json:"messages"`
	Mailboxes []Restored `json:"mailboxes"`
}

// Restored is what came back into one mailbox.
type Restored struct {
	Path     string `json:"path"`
	Messages int    `json:"messages"`
}

// accountUndelete puts expunged messages back.
func accountUndelete(ctx context.Context, s *System, in AccountUndelete) (Undeleted, error) {
	out := Undeleted{V: 1, Mailboxes: []Restored{}}
	acct, err := s.account(ctx, "account.undelete", in.Name)
	if err != nil {
		return out, err
	}
	box, err := s.Store.Account(ctx, acct.ID)
	if err != nil {
		return out, err
	}
	var done []store.Restored
	err = box.Update(ctx, func(tx *store.Tx) (err error) {
		done, err = tx.Undelete(in.Since)
		return err
	})
	if mail.KindOf(err) == mail.OverQuota && err != nil {
		return out, refuse(mail.OverQuota, "account.undelete",
			"%s has no room for all of it: give it a larger quota, or take less with --since", acct.Address)
	}
	for _, r := range done {
		out.Messages += r.Messages
		out.Mailboxes = append(out.Mailboxes, Restored{r.Path, r.Messages})
	}
	return out, err
}
