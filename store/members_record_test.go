package store

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func FuzzMembers(f *testing.F) {
	m := &memberBlock{block: 3, mailbox: 7, uid: 10, runs: []memberRun{{3072, 10, 5}, {4000, 15, 96}, {3090, 200, 1}}}
	f.Add(m.key()[1:], m.value())
	var c counts
	c[0], c[1], c[2], c[700], c[1023] = 2, 2, 3, MaxMemberships, 2
	f.Add([]byte{}, appendCounts([]byte{formatVersion}, &c))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		var c counts
		if err := decodeCounts(&c, v); err == nil {
			var again counts
			if err := decodeCounts(&again, appendCounts([]byte{formatVersion}, &c)); err != nil || again != c || c.several() == 0 {
				t.Fatalf("counts %v, again %v, %v", c, again, err)
			}
		}
		m, err := decodeMembers(k, v)
		if err != nil {
			return
		}
		n, last := 0, UID(0)
		m.each(func(e EmailID, u UID) bool {
			if n++; blockOf(e) != m.block || u <= last || n > 1<<20 || m.find(u) != e {
				t.Fatalf("email %d, UID %d after %d", e, u, last)
			}
			last = u
			return n < 5000
		})
		all := m.without(func(EmailID, UID) bool { return true })
		if again, err := decodeMembers(all.key()[1:], all.value()); err != nil || !slices.Equal(again.runs, all.runs) {
			t.Fatalf("%v, again %v, %v", all, again, err)
		}
	})
}

// records counts the records of an account by kind.
func records(t *testing.T, s *Store, id mail.AccountID) map[byte]int {
	t.Helper()
	r := s.eng.Snapshot(id)
	defer r.Close()
	n := map[byte]int{}
	must(t, r.Scan([]byte{0}, []byte{keyEnd}, func(k, _ []byte) bool {
		n[k[0]]++
		return true
	}))
	return n
}

// What is copied and expunged together costs a record for a thousand messages, also
// where their ids are those of several blocks and out of order.
func TestMembershipsOfMany(t *testing.T) {
	const n = 3000
	s := openStore(t, mem.New(), Options{})
	a, inbox := fill(t, s, n)
	sent, trash := mailboxID(t, a, "Sent"), mailboxID(t, a, "Trash")
	all := UIDSet{{1, n}}
	before := records(t, s, 1)
	change(t, a, func(tx *Tx) error { _, err := tx.Copy(inbox, sent, all); return err })
	now := records(t, s, 1)
	if now[keyRuns] != 3 || now[keyCounts] != 3 || now[keyMember] != before[keyMember] {
		t.Errorf("records %v after a copy, %v before", now, before)
	}
	if got, _ := usage(t, a); got != n {
		t.Errorf("%d messages", got)
	}
	// Out of order: some of the second half, then of the first, then all again.
	for _, u := range []UIDSet{{{2000, 2999}}, {{1, 400}, {500, 501}, {900, 1100}}, all} {
		change(t, a, func(tx *Tx) error { _, err := tx.Copy(sent, trash, u); return err })
	}
	change(t, a, func(tx *Tx) error { _, err := tx.Move(trash, inbox, UIDSet{{900, 1300}}); return err })
	checkStore(t, s)
	for _, b := range []MailboxID{sent, inbox} {
		change(t, a, func(tx *Tx) error { _, err := tx.Expunge(b, all); return err })
		checkStore(t, s)
	}
	if got, _ := usage(t, a); got != n {
		t.Errorf("%d messages, all of them are in the trash", got)
	}
	must(t, s.Reap(t.Context(), newClock().now().AddDate(0, 0, 60)))
	checkStore(t, s)
	change(t, a, func(tx *Tx) error {
		if _, err := tx.Expunge(trash, UIDSet{{1, 1 << 30}}); err != nil {
			return err
		}
		_, err := tx.Expunge(inbox, UIDSet{{1, 1 << 30}})
		return err
	})
	if got, size := usage(t, a); got != 0 || size != 0 {
		t.Errorf("%d messages of %d bytes are left of none", got, size)
	}
	must(t, s.Reap(t.Context(), newClock().now().AddDate(0, 0, 90)))
	if now := records(t, s, 1); now[keyRuns]+now[keyCounts]+now[keyMember]+now[keyEmail] > 0 {
		t.Errorf("records %v of nothing", now)
	}
}

// Random copies, moves and expunges of neighbours across blocks, with the memberships
// of every message compared with what the mailboxes have.
func TestMembershipsAtBlockEnds(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	start := EmailID(2*blockSize - 20)
	h := a.durable.Load().hdr
	h.nextEmail = start
	_, err := eng.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{{Key: []byte{keyAccount}, Val: appendHeader(nil, &h)}}}).Wait()
	must(t, err)
	a.mu.Lock()
	a.pending = nil
	a.durable.Store(nil)
	a.mu.Unlock()
	m := stage(t, s, letter(1))
	change(t, a, func(tx *Tx) error {
		for range 40 {
			if _, err := tx.Append(inbox, m, AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	rnd := rand.New(rand.NewPCG(1, 2))
	boxes := []MailboxID{inbox, sent}
	for step := range 120 {
		from, to := boxes[rnd.IntN(2)], boxes[rnd.IntN(2)]
		var u UIDSet
		for range 1 + rnd.IntN(3) {
			lo := UID(1 + rnd.IntN(20+step*3))
			u.AddRange(lo, lo+UID(rnd.IntN(25)))
		}
		err := a.Update(t.Context(), func(tx *Tx) (err error) {
			switch rnd.IntN(4) {
			case 0:
				_, err = tx.Move(from, to, u)
			case 1:
				_, err = tx.Copy(from, to, u)
			default:
				_, err = tx.Expunge(from, u)
			}
			return err
		})
		if err != nil && mail.KindOf(err) != mail.TooLarge {
			t.Fatal(err)
		}
		if step%10 == 9 {
			must(t, s.Reap(t.Context(), newClock().now().AddDate(0, 0, 60)))
		}
		checkPlaces(t, a, start, start+40)
		checkStore(t, s)
	}
}

// checkPlaces compares the memberships of messages with the mailboxes.
func checkPlaces(t *testing.T, a *Account, lo, hi EmailID) {
	t.Helper()
	must(t, a.View(t.Context(), func(v *View) error {
		want := map[EmailID][]Membership{}
		for _, id := range []MailboxID{1, 2} {
			snap, err := v.Snapshot(id)
			if err != nil {
				return err
			}
			for i := range snap.Len() {
				r := snap.Row(i)
				want[r.Email] = append(want[r.Email], Membership{id, r.UID})
			}
		}
		for e := lo; e < hi; e++ {
			if got, err := v.Memberships(e); err != nil || !slices.Equal(got, want[e]) {
				t.Errorf("email %d is in %v, %v, want %v", e, got, err, want[e])
			}
		}
		return nil
	}))
}

// A transaction that has read before an earlier one was durable sees what that wrote
// when it asks for it afterwards.
func TestSeesWhatSettledMeanwhile(t *testing.T) {
	g := &gate{Engine: mem.New()}
	s := openStore(t, g, Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	appendLetters(t, s, a, inbox, letter(1))
	m := stage(t, s, letter(2))
	hold := make(chan struct{})
	g.hold, g.arrived = hold, make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- a.Update(context.Background(), func(tx *Tx) error {
			if _, err := tx.Append(inbox, m, AppendOptions{}); err != nil {
				return err
			}
			_, err := tx.Copy(inbox, sent, UIDs(1, 2))
			return err
		})
	}()
	select {
	case <-g.arrived:
	case err := <-first:
		t.Fatal("nothing was committed:", err)
	}
	g.hold, g.arrived = nil, nil
	change(t, a, func(tx *Tx) error {
		if _, err := tx.Email(1); err != nil { // the reader is opened
			return err
		}
		close(hold)
		if err := <-first; err != nil {
			return err
		}
		if _, err := tx.Email(2); err != nil {
			t.Errorf("email 2: %v", err)
		}
		if in, err := tx.Memberships(2); err != nil || len(in) != 2 {
			t.Errorf("email 2 is in %v, %v", in, err)
		}
		_, err := tx.Expunge(inbox, UIDs(1, 2))
		return err
	})
	if n, _ := usage(t, a); n != 2 {
		t.Errorf("%d messages, both are in a mailbox", n)
	}
}
