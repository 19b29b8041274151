package jmap

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// updateEmail changes keywords and mailboxes; all else of a message is for ever.
func updateEmail(s *setter, r record, changed map[string]any) (wire.Object, error) {
	e := r.rec.(*email)
	ch, err := s.emailChange(e, changed)
	if err != nil {
		return nil, err
	}
	half := func(err error) error {
		if se, ok := asSetError(err); ok {
			return &halfway{err: se}
		}
		return err
	}
	for _, c := range ch.flags {
		if _, err := s.tx.SetEmailFlags(e.id, c); err != nil {
			return nil, half(err)
		}
	}
	if v, there := changed["snoozed"]; there {
		if ch.targets != nil {
			return nil, half(invalidProperties("mailboxIds and snoozed exclude each other", "mailboxIds", "snoozed"))
		}
		return nil, half(s.snooze(e, v))
	}
	if ch.targets != nil {
		if _, err := s.tx.SetMailboxes(e.id, store.MailboxChange{Add: ch.targets, Only: true}); err != nil {
			return nil, half(err)
		}
	}
	return nil, nil
}

// An emailChange is what an update does to a message and to others like it.
type emailChange struct {
	targets []store.MailboxID // nil: it stays where it is
	flags   []store.FlagChange
}

// emailChange checks changed properties.
func (s *setter) emailChange(e *email, changed map[string]any) (ch emailChange, err error) {
	targets, bad := s.targets(changed["mailboxIds"])
	if bad != nil {
		return ch, bad
	}
	ch.targets = targets
	if v, there := changed["keywords"]; there {
		now := v.(map[string]any)
		if bad := checkKeywords(now); bad != nil {
			return ch, bad
		}
		ch.flags = flagChanges(e.keywords, now)
	}
	return ch, nil
}

// flagChanges is keywordChange as the store wants it.
func flagChanges(was map[string]bool, now map[string]any) (list []store.FlagChange) {
	set, clear := keywordChange(was, now)
	for _, c := range []store.FlagChange{{Op: store.FlagsAdd, Flags: set}, {Op: store.FlagsRemove, Flags: clear}} {
		if len(c.Flags) > 0 {
			list = append(list, c)
		}
	}
	return list
}

// checkKeywords refuses what is no keyword, and values other than true.
func checkKeywords(m map[string]any) *setError {
	for k, v := range m {
		if _, ok := flagOf(k); !ok || v != true {
			return invalidProperties("not a keyword, or not true: "+k, "keywords")
		}
	}
	return nil
}

// keywordChange returns the flags that come and go.
func keywordChange(was map[string]bool, now map[string]any) (set, clear []mail.Flag) {
	same := map[mail.Flag]bool{}
	for k := range was {
		if f, ok := flagOf(k); ok {
			same[f] = true
		}
	}
	keep := map[mail.Flag]bool{}
	for _, k := range slices.Sorted(maps.Keys(now)) {
		f, _ := flagOf(k)
		keep[f] = true
		if !same[f] {
			set = append(set, f)
		}
	}
	for _, k := range sortedKeys(was) {
		if f, ok := flagOf(k); ok && !keep[f] {
			clear = append(clear, f)
		}
	}
	return set, clear
}

// targets resolves mailboxIds; nil if they do not change.
func (s *setter) targets(v any) ([]store.MailboxID, *setError) {
	ids, ok := v.(map[string]any)
	if !ok {
		return nil, nil
	}
	var list []store.MailboxID
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		m := findMailbox(&s.tx.View, id)
		if m == nil || m.NoSelect || ids[id] != true {
			return nil, invalidProperties(fmt.Sprintf("%q is no mailbox, or not true", id), "mailboxIds")
		}
		list = append(list, m.ID)
	}
	if list == nil {
		return nil, invalidProperties("a message is in one mailbox at least", "mailboxIds")
	}
	if len(list) > store.MaxMemberships {
		return nil, unfit("tooManyMailboxes", "")
	}
	return list, nil
}

// destroyEmail removes a message from all its mailboxes.
func destroyEmail(s *setter, id string) error {
	n, ok := parseEmailID(id)
	if !ok {
		return unfit("notFound", "")
	}
	err := s.tx.ExpungeEmail(n)
	if se, ok := asSetError(err); ok && se.kind != "notFound" {
		return &halfway{err: se}
	}
	return err
}

// A draft is a message that is finished but not in a mailbox yet.
type draft struct {
	staged   *store.Staged
	received time.Time
}

// createEmail puts a prepared message into its mailboxes.
func createEmail(s *setter, props map[string]any, prepared any) (string, wire.Object, error) {
	d := prepared.(*draft)
	targets, bad := s.targets(props["mailboxIds"])
	if bad != nil {
		return "", nil, bad
	}
	keywords, _ := props["keywords"].(map[string]any)
	if bad := checkKeywords(keywords); bad != nil {
		return "", nil, bad
	}
	return s.file(d, targets, keywords)
}

// file appends a message to the first mailbox and copies it to the others.
func (s *setter) file(d *draft, targets []store.MailboxID, keywords map[string]any) (string, wire.Object, error) {
	flags, _ := keywordChange(nil, keywords)
	got, err := s.tx.Append(targets[0], d.staged, store.AppendOptions{Flags: flags, InternalDate: d.received})
	if err != nil {
		return "", nil, err
	}
	for _, t := range targets[1:] {
		if _, err := s.tx.Copy(targets[0], t, store.UIDs(got.UID)); err != nil {
			if se, ok := asSetError(err); ok {
				return "", nil, &halfway{err: se}
			}
			return "", nil, err
		}
	}
	id := uintText(uint64(got.Email))
	return "M" + id, wire.Object{{Name: "blobId", Value: "B" + id}, {Name: "threadId", Value: threadID(got.Thread)}, {Name: "size", Value: d.staged.Size()}}, nil
}
