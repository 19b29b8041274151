package jmap

import (
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
		name: "MutedThread", capability: capPosthouse,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "threadId", typ: "Id", mode: immutable},
			{name: "mutedAt", typ: "UTCDate", mode: serverSet},
		},
		create:  muteThread,
		destroy: func(s *setter, id string) error { return s.tx.DeleteObject(store.ObjectMute, id) },
	}
	return t.keep(store.ObjectMute)
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
