package jmap

import (
	"slices"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// maxMuted is how many threads of an account may be muted; the oldest go.
const maxMuted = 5000

// mutedThreadType is MutedThread of the vendor capability: a thread whose answers
// delivery files in the archive, read. Its id is that of the thread.
func mutedThreadType() *objectType {
	t := &objectType{
		name: "MutedThread", capability: capPosthouse, guests: []store.ObjectKind{store.ObjectMute},
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "threadId", typ: "Id", mode: immutable},
			{name: "mutedAt", typ: "UTCDate", mode: serverSet},
		},
		create: muteThread,
		destroy: func(s *setter, id string) error {
			if err := s.mayMute(id); err != nil {
				return err
			}
			return s.tx.DeleteObject(store.ObjectMute, id)
		},
	}
	t.keep(store.ObjectMute)
	t.load = seenThreads(t.load)
	t.touched = ownTouched(t.load, t.touched)
	return t
}

// seenThreads: of somebody else's muted threads a user sees those that the user sees
// anything of.
func seenThreads(load loader) loader {
	return func(c *call, v *store.View, ids []string) ([]record, error) {
		list, err := load(c, v, ids)
		if err != nil || !c.acct.shared {
			return list, err
		}
		return slices.DeleteFunc(list, func(r record) bool {
			n, _ := parseThreadID(r.id)
			in, failed := v.Thread(n)
			if failed != nil && mail.KindOf(failed) != mail.NotFound {
				err = failed
			}
			return len(in) == 0
		}), err
	}
}

// mayMute: in the account of somebody else it takes what moving a message from the inbox
// to the archive takes, as that is what happens.
func (s *setter) mayMute(thread string) error {
	if !s.acct.shared {
		return nil
	}
	no := unfit("forbidden", "it takes the rights to move messages from the inbox to the archive")
	n, _ := parseThreadID(thread)
	if list, err := s.tx.Thread(n); err != nil || len(list) == 0 {
		if err == nil || mail.KindOf(err) == mail.NotFound {
			err = unfit("notFound", "")
		}
		return err
	}
	in, err := s.tx.Mailbox(inboxPath)
	if err != nil {
		return no
	}
	to, err := s.tx.MailboxByRole(mail.RoleArchive)
	if err != nil {
		return no
	}
	from, err := s.tx.Rights(in.ID)
	if err != nil || !from.Has(store.RightSeen|store.RightDeleted|store.RightExpunge) {
		return no
	}
	if r, err := s.tx.Rights(to.ID); err != nil || !r.Has(store.RightInsert) {
		return no
	}
	return nil
}

func muteThread(s *setter, props map[string]any, _ any) (string, wire.Object, error) {
	id, _ := props["threadId"].(string)
	n, ok := number(id, 'T')
	if !ok {
		return "", nil, invalidProperties("not a thread", "threadId")
	}
	if list, err := s.tx.Thread(store.ThreadID(n)); err != nil || len(list) == 0 {
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return "", nil, err
		}
		return "", nil, invalidProperties("there is no such thread", "threadId")
	}
	if err := s.mayMute(id); err != nil {
		return "", nil, err
	}
	if err := s.trimMuted(); err != nil {
		return "", nil, err
	}
	id = store.MuteID(store.ThreadID(n))
	at := utcDate(s.tx.Now().Unix())
	return id, wire.Object{{Name: "mutedAt", Value: at}}, s.put(store.ObjectMute, id, values{"threadId": id, "mutedAt": at})
}

func (s *setter) trimMuted() error {
	n, oldest, when := 0, "", "9999"
	if err := s.tx.Objects(store.ObjectMute, func(o store.Object) bool {
		n++
		if m, err := decodeValues(o.Value); err == nil {
			if at, _ := m["mutedAt"].(string); at < when {
				oldest, when = o.ID, at
			}
		}
		return true
	}); err != nil || n < maxMuted {
		return err
	}
	return s.tx.DeleteObject(store.ObjectMute, oldest)
}
