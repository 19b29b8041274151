package store

import (
	"context"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// An illness is damage to an account and to what all share.
type illness struct {
	name   string
	damage func(st *state) (own, global []engine.Op)
}

func del(key []byte) engine.Op      { return engine.Op{Kind: engine.Delete, Key: key} }
func set(key, val []byte) engine.Op { return engine.Op{Key: key, Val: val} }

// illMemberships are those of the records that say where a message is, and how often.
func illMemberships() []illness {
	return []illness{
		{"missing number of memberships", func(*state) (own, global []engine.Op) { return []engine.Op{del(countsKey(0))}, nil }},
		{"wrong number of memberships", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(countsKey(0), []byte{formatVersion, 1, 0, 9}), set(countsKey(7), []byte{formatVersion, 1, 0, 2})}, nil
		}},
		{"missing membership", func(*state) (own, global []engine.Op) { return []engine.Op{del(appendMemberKey(nil, 1, 1, 1))}, nil }},
		{"stray membership", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(appendMemberKey(nil, 1, 1, 77), nil), set([]byte{keyMember, 1}, nil)}, nil
		}},
		{"missing memberships", func(*state) (own, global []engine.Op) {
			return []engine.Op{del((&memberBlock{mailbox: 3, uid: 1}).key())}, nil
		}},
		{"stray memberships", func(*state) (own, global []engine.Op) {
			m := &memberBlock{mailbox: 3, uid: 1, runs: []memberRun{{1, 1, 1}, {4, 2, 3}}}
			n := &memberBlock{block: 9, mailbox: 3, uid: 1, runs: []memberRun{{9300, 1, 1}}}
			return []engine.Op{set(m.key(), m.value()), set(n.key(), n.value())}, nil
		}},
		{"damaged memberships", func(*state) (own, global []engine.Op) {
			return []engine.Op{set((&memberBlock{mailbox: 3, uid: 1}).key(), []byte{formatVersion, 1}), set([]byte{keyRuns, 1}, nil)}, nil
		}},
		{"memberships said twice", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(appendMemberKey(nil, 4, 3, 2), nil)}, nil
		}},
		{"an account that does not know of its memberships", func(st *state) (own, global []engine.Op) {
			h := st.hdr
			h.blocks, h.multi = false, 0
			return []engine.Op{set([]byte{keyAccount}, appendHeader(nil, &h))}, nil
		}},
	}
}

// Each thing that Repair makes anew is damaged alone: Check finds it, Repair mends it,
// and Check finds nothing any more.
func TestRepair(t *testing.T) {
	one := []byte{formatVersion}
	for _, x := range append(illMemberships(), []illness{
		{"counts of a mailbox", func(st *state) (own, global []engine.Op) {
			b := *st.boxes[0]
			b.mb.Unseen, b.mb.Bytes, b.mb.Messages = 7, 1, 2
			return []engine.Op{set(mailboxKey(b.mb.ID), appendMailbox(nil, &b))}, nil
		}},
		{"UIDNext", func(st *state) (own, global []engine.Op) {
			b := *st.boxes[0]
			b.mb.UIDNext = 2
			return []engine.Op{set(mailboxKey(b.mb.ID), appendMailbox(nil, &b))}, nil
		}},
		{"highest ModSeq", func(st *state) (own, global []engine.Op) {
			b := *st.boxes[0]
			b.mb.HighestModSeq = 2
			return []engine.Op{set(mailboxKey(b.mb.ID), appendMailbox(nil, &b))}, nil
		}},
		{"sums of the account", func(st *state) (own, global []engine.Op) {
			h := st.hdr
			h.messages, h.bytes = 99, 0
			return []engine.Op{set([]byte{keyAccount}, appendHeader(nil, &h))}, nil
		}},
		{"bytes of annotations", func(st *state) (own, global []engine.Op) {
			h := st.hdr
			h.annotations++
			return []engine.Op{set([]byte{keyAccount}, appendHeader(nil, &h))}, nil
		}},
		{"bytes of annotations of messages", func(st *state) (own, global []engine.Op) {
			b := *st.boxes[0]
			b.noted = 3
			return []engine.Op{set(mailboxKey(b.mb.ID), appendMailbox(nil, &b))}, nil
		}},
		{"missing thread", func(*state) (own, global []engine.Op) { return []engine.Op{del(threadKey(1, 1))}, nil }},
		{"stray thread", func(*state) (own, global []engine.Op) { return []engine.Op{set(threadKey(1, 2), nil)}, nil }},
		{"missing references", func(*state) (own, global []engine.Op) {
			return []engine.Op{{Kind: engine.DeleteRange, Key: []byte{keyReference}, End: []byte{keyReference + 1}}}, nil
		}},
		{"annotation of no mailbox", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(annotationKey(99, 0, "/x"), append(one, 'v'))}, nil
		}},
		{"annotation of no message", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(noteKey(1, 99, 0, "/x"), append(one, 'v'))}, nil
		}},
		{"list of no mailbox", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(aclKey(99), appendACL(nil, acl{{7, RightLookup, 0}}))}, nil
		}},
		{"missing in the index of sharing", func(*state) (own, global []engine.Op) {
			return nil, []engine.Op{del(sharedKey(sharedPrefix(7, ""), 1, 1))}
		}},
		{"stray in the index of sharing", func(*state) (own, global []engine.Op) {
			return nil, []engine.Op{set(sharedKey(sharedPrefix(8, ""), 1, 1), nil), set(sharedKey(sharedPrefix(7, ""), 44, 1), nil)}
		}},
		{"seen of no mailbox", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(append(seenKey(99, 7), 0, 0, 0, 0), appendSeen(nil, &seenRuns{0, []seenRun{{1, 1, 1, true}}}))}, nil
		}},
		{"seen of no message", func(*state) (own, global []engine.Op) {
			return []engine.Op{set(append(seenKey(1, 7), 0, 0, 4, 0), appendSeen(nil, &seenRuns{1024, []seenRun{{1030, 1031, 1, true}}}))}, nil
		}},
		{"the reaper's work", func(st *state) (own, global []engine.Op) {
			return nil, []engine.Op{{Kind: engine.DeleteRange, Key: expungedKey(0, 0), End: expungedKey(1<<62, 0)}}
		}},
		{"message in no mailbox", func(*state) (own, global []engine.Op) {
			return []engine.Op{{Kind: engine.DeleteRange, Key: []byte{keyDead}, End: []byte{keyDead + 1}}, del(appendMemberKey(nil, 3, 1, 3))}, nil
		}},
	}...) {
		t.Run(x.name, func(t *testing.T) {
			eng := mem.New()
			s, a := sickAccount(t, eng)
			check := func() (n int) {
				must(t, s.Check(t.Context(), true, func(_ mail.AccountID, p string) { n++; t.Log(p) }))
				return n
			}
			if n := check(); n > 0 {
				t.Fatal("ill before")
			}
			own, global := x.damage(a.durable.Load())
			_, err := eng.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: own},
				&engine.Batch{Expect: engine.AnyVersion, Ops: global}).Wait()
			must(t, err)
			a.mu.Lock()
			a.pending = nil
			a.durable.Store(nil)
			a.mu.Unlock()
			if check() == 0 {
				t.Fatal("the damage is not found")
			}
			mended := 0
			must(t, s.Repair(t.Context(), nil, func(_ mail.AccountID, what string) { mended++; t.Log("mended:", what) }))
			if n := check(); n > 0 || mended == 0 {
				t.Fatalf("%d problems left, %d mended", n, mended)
			}
			mended = 0
			before := a.durable.Load().hdr.modseq
			must(t, s.Repair(t.Context(), nil, func(mail.AccountID, string) { mended++ }))
			if mended > 0 || a.durable.Load() != nil && a.durable.Load().hdr.modseq != before {
				t.Errorf("%d mended again", mended)
			}
		})
	}
}

// sickAccount has something of everything.
func sickAccount(t *testing.T, eng engine.Engine) (*Store, *Account) {
	s, err := Open(t.Context(), eng, Options{Now: newClock().now})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3), letter(4))
	change(t, a, func(tx *Tx) error {
		if _, err := tx.Copy(inbox, sent, UIDs(2)); err != nil {
			return err
		}
		if _, err := tx.Copy(inbox, mailboxID(t, a, "Trash"), UIDs(1, 4)); err != nil {
			return err
		}
		if _, err := tx.Expunge(inbox, UIDs(3)); err != nil {
			return err
		}
		if err := tx.SetACL(inbox, Grant{Who: 7, Rights: AllRights}); err != nil {
			return err
		}
		return tx.SetMessageAnnotation(inbox, 1, 0, "/comment", []byte("note"))
	})
	change(t, a.As(Principal{Account: 7}), func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(1), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}})
		return err
	})
	must(t, s.indexExpunged(context.Background()))
	return s, a
}

// What is in no mailbox comes back where people find it, and grants to who is gone go.
func TestRepairRevivesAndRevokes(t *testing.T) {
	eng := mem.New()
	s, a := sickAccount(t, eng)
	_, err := eng.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{
		{Kind: engine.DeleteRange, Key: []byte{keyDead}, End: []byte{keyDead + 1}}, {Kind: engine.Delete, Key: appendMemberKey(nil, 3, 1, 3)}}}).Wait()
	must(t, err)
	must(t, s.Repair(t.Context(), func(id mail.AccountID) bool { return id != 7 }, func(mail.AccountID, string) {}))
	checkStore(t, s)
	must(t, a.View(t.Context(), func(v *View) error {
		m, err := v.Mailbox(restoredPath)
		must(t, err)
		snap, err := v.Snapshot(m.ID)
		must(t, err)
		if snap.Len() != 1 || snap.Row(0).Email != 3 || !m.Subscribed {
			t.Errorf("%d messages in %+v", snap.Len(), m)
		}
		list, err := v.ACL(mailboxOf(t, &Tx{View: *v}, "INBOX"))
		if err != nil || len(list) != 1 {
			t.Errorf("list %v, %v", list, err)
		}
		return nil
	}))
	if got := sharedWithMe(t, s, Principal{Account: 7}); len(got) > 0 {
		t.Errorf("still shared by %v", got)
	}
}
