package store

import (
	"fmt"
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// What is done to many messages at once leaves them as doing it to each: wherever they
// were, whatever flags they had, and though the same transaction moved them before.
func TestManyAsEach(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	flagged := FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged, "$Work"}}
	read := FlagChange{Op: FlagsRemove, Flags: []mail.Flag{mail.FlagSeen}}
	run := func(acct mail.AccountID, together bool) (all []string) {
		a := newTestAccount(t, s, acct)
		inbox, sent, trash := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent"), mailboxID(t, a, "Trash")
		var ids []EmailID
		for i := range 60 { // some come alone, some together: recorded in two ways
			if i%3 > 0 {
				continue
			}
			for _, got := range appendLetters(t, s, a, inbox, letter(3*i), letter(3*i+1), letter(3*i+2))[:1+i%2*2] {
				ids = append(ids, got.Email)
			}
		}
		change(t, a, func(tx *Tx) error {
			for i, to := range []MailboxID{sent, trash, inbox, sent} {
				if _, err := tx.Copy(inbox, to, UIDSet{{UID(1 + 5*i), UID(14 + 7*i)}}); err != nil {
					return err
				}
			}
			for i, f := range []mail.Flag{mail.FlagSeen, mail.FlagDeleted, "$Work", "$Home"} {
				for _, box := range []MailboxID{inbox, sent} {
					if _, _, err := tx.SetFlags(box, UIDSet{{UID(2 + 3*i), UID(9 + 9*i)}}, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{f}}); err != nil {
						return err
					}
				}
			}
			_, err := tx.Expunge(inbox, UIDSet{{3, 4}, {20, 21}})
			return err
		})
		some, others, gone := ids[:20], ids[10:30], ids[5:12]
		change(t, a, func(tx *Tx) error {
			if together {
				for _, err := range []error{tx.SetFlagsOf(some, flagged), tx.SetMailboxesOf(others, []MailboxID{sent, trash, sent}),
					tx.SetMailboxesOf(some, []MailboxID{trash}), tx.SetFlagsOf(ids, read), tx.SetMailboxesOf(gone, nil)} {
					must(t, err)
				}
				return nil
			}
			each := func(ids []EmailID, f func(id EmailID) error) {
				for _, id := range ids {
					if err := f(id); mail.KindOf(err) != mail.NotFound {
						must(t, err)
					}
				}
			}
			flag := func(c FlagChange) func(EmailID) error {
				return func(id EmailID) error { _, err := tx.SetEmailFlags(id, c); return err }
			}
			file := func(to ...MailboxID) func(EmailID) error {
				return func(id EmailID) error { _, err := tx.SetMailboxes(id, MailboxChange{Add: to, Only: true}); return err }
			}
			each(some, flag(flagged))
			each(others, file(sent, trash))
			each(some, file(trash))
			each(ids, flag(read))
			each(gone, tx.ExpungeEmail)
			return nil
		})
		must(t, a.View(t.Context(), func(v *View) error {
			places, err := v.MembershipsOf(ids)
			must(t, err)
			for i, id := range ids {
				one, err := v.Memberships(id)
				if must(t, err); !slices.Equal(one, places[i]) {
					t.Errorf("%d is in %v, and with others in %v", id, one, places[i])
				}
				var boxes []MailboxID
				for _, m := range one {
					boxes = append(boxes, m.Mailbox)
				}
				flags, _ := v.EmailFlags(id)
				all = append(all, fmt.Sprint(boxes, flags))
			}
			u := v.Usage()
			all = append(all, fmt.Sprint(u.Messages, u.Bytes))
			return nil
		}))
		return all
	}
	each, together := run(1, false), run(2, true)
	for i := range each {
		if each[i] != together[i] {
			t.Errorf("%d: %s, together %s", i, each[i], together[i])
		}
	}
	b := Principal{Account: 3}
	must(t, mustAccount(t, s, 1).Update(t.Context(), func(tx *Tx) error {
		return tx.ActAs(b, func() error {
			wantKind(t, "of somebody else", tx.SetMailboxesOf([]EmailID{1}, nil), mail.Denied)
			wantKind(t, "of somebody else", tx.SetFlagsOf([]EmailID{1}, read), mail.Denied)
			return nil
		})
	}))
}

func mustAccount(t *testing.T, s *Store, id mail.AccountID) *Account {
	t.Helper()
	a, err := s.Account(t.Context(), id)
	must(t, err)
	return a
}
