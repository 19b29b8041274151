package store

import (
	"io"
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// An object is there for its own transaction and afterwards, also after a restart,
// stands in the log, and takes its bytes along when it goes.
func TestObjects(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 7)
	var before LogPos
	must(t, a.View(t.Context(), func(v *View) error { before = v.LogEnd(); return nil }))
	m := stage(t, s, "any bytes at all")
	must(t, a.Update(t.Context(), func(tx *Tx) error {
		must(t, tx.PutObject(ObjectUpload, "u1", []byte("text/plain"), m))
		must(t, tx.PutObject(ObjectIdentity, "i1", []byte("one"), nil))
		must(t, tx.PutObject(ObjectIdentity, "i2", nil, nil))
		must(t, tx.DeleteObject(ObjectIdentity, "i2"))
		o, err := tx.Object(ObjectIdentity, "i1")
		must(t, err)
		if _, err := tx.Object(ObjectIdentity, "i2"); string(o.Value) != "one" || mail.KindOf(err) != mail.NotFound {
			t.Errorf("in the transaction: %q, %v", o.Value, err)
		}
		if err := tx.PutObject(ObjectIdentity, "", nil, nil); mail.KindOf(err) != mail.Invalid {
			t.Errorf("without id: %v", err)
		}
		if err := tx.PutObject(ObjectIdentity, "i3", make([]byte, objectBytes+1), nil); mail.KindOf(err) != mail.TooLarge {
			t.Errorf("too large: %v", err)
		}
		return nil
	}))
	must(t, s.Close())
	s = openStore(t, eng, Options{})
	a, err := s.Account(t.Context(), 7)
	must(t, err)
	must(t, a.View(t.Context(), func(v *View) error {
		var ids []string
		must(t, v.Objects(ObjectIdentity, func(o Object) bool { ids = append(ids, o.ID); return true }))
		if !slices.Equal(ids, []string{"i1"}) {
			t.Errorf("objects %q", ids)
		}
		o, err := v.Object(ObjectUpload, "u1")
		must(t, err)
		b, err := a.OpenObject(t.Context(), &o)
		must(t, err)
		defer b.Close()
		text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		must(t, err)
		if string(o.Value) != "text/plain" || string(text) != "any bytes at all" {
			t.Errorf("upload %q, %q", o.Value, text)
		}
		var seen []Change
		must(t, v.Changes(before, func(c Change) bool { seen = append(seen, c); return true }))
		if len(seen) != 4 || seen[1].Kind != ObjectMade || seen[1].Object != (ObjectRef{ObjectIdentity, "i1"}) || seen[3].Kind != ObjectDeleted || seen[3].Mailbox != 0 {
			t.Errorf("log %+v", seen)
		}
		return nil
	}))
	must(t, a.Update(t.Context(), func(tx *Tx) error { return tx.DeleteObject(ObjectUpload, "u1") }))
	if st := eng.Stats(); st.LiveBytes != 0 {
		t.Errorf("%d live bytes after the upload went", st.LiveBytes)
	}
}

// Threads lists every message with its conversation.
func TestAllThreads(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 7)
	inbox := mailboxID(t, a, "inbox")
	want := map[EmailID]ThreadID{}
	for n := range 3 {
		must(t, a.Update(t.Context(), func(tx *Tx) error {
			got, err := tx.Append(inbox, stage(t, s, letter(n%2)), AppendOptions{})
			want[got.Email] = got.Thread
			return err
		}))
	}
	must(t, a.View(t.Context(), func(v *View) error {
		return v.Threads(func(th ThreadID, e EmailID) bool {
			if want[e] != th {
				t.Errorf("email %d is in thread %d, not %d", e, want[e], th)
			}
			delete(want, e)
			return true
		})
	}))
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}
