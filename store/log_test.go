package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func appendLetters(t *testing.T, s *Store, a *Account, id MailboxID, texts ...string) []Appended {
	t.Helper()
	var all []Appended
	for _, text := range texts {
		m := stage(t, s, text)
		change(t, a, func(tx *Tx) error {
			got, err := tx.Append(id, m, AppendOptions{})
			all = append(all, got)
			return err
		})
	}
	return all
}

func TestChanges(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	var from LogPos
	must(t, a.View(t.Context(), func(v *View) error { from = v.LogEnd(); return nil }))
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3))
	change(t, a, func(tx *Tx) error {
		if _, _, err := tx.SetFlags(inbox, UIDSet{{2, 9}}, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{mail.FlagSeen}}); err != nil {
			return err
		}
		_, err := tx.Move(inbox, sent, UIDs(2))
		return err
	})
	change(t, a, func(tx *Tx) error { return tx.RenameMailbox(sent, "Posted") })
	read := func(pos LogPos) (out []string) {
		must(t, a.View(t.Context(), func(v *View) error {
			return v.Changes(pos, func(c Change) bool {
				out = append(out, fmt.Sprintf("%d %d box%d %v %v", c.Pos-from, c.Kind, c.Mailbox, c.UIDs, c.Emails))
				return true
			})
		}))
		return out
	}
	want := []string{"1 1 box1 1 [1]", "2 1 box1 2 [2]", "3 1 box1 3 [3]", "4 2 box1 2:3 []", "4 1 box2 1 [2]", "4 3 box1 2 [2]", "5 5 box2  []"}
	if got := read(from); !slices.Equal(got, want) {
		t.Errorf("changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := read(from + 4); !slices.Equal(got, want[6:]) {
		t.Errorf("changes %q", got)
	}
	must(t, a.View(t.Context(), func(v *View) error {
		if err := v.Changes(v.LogEnd()+1, func(Change) bool { return true }); mail.KindOf(err) != mail.NotFound {
			t.Errorf("a position of the future: %v", err)
		}
		return nil
	}))
}

// Below the journal's floor QRESYNC gets all that is missing, and readers of the
// log must start anew.
func TestFloor(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1), letter(2), letter(3), letter(4), letter(5))
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(2, 3)); return err })
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(5)); return err })
	a.mu.Lock()
	a.checkpointLocked(t.Context(), 0)
	st := *a.pending
	st.hdr.floor = st.hdr.modseq - 1
	_, err := eng.Commit(t.Context(), &engine.Batch{Account: 1, Expect: engine.AnyVersion, Ops: []engine.Op{
		{Kind: engine.DeleteRange, Key: journalKey(0), End: journalKey(st.hdr.floor + 1)},
		{Kind: engine.DeleteRange, Key: markKey(0), End: markKey(st.hdr.floor)},
		{Key: []byte{keyAccount}, Val: appendHeader(nil, &st.hdr)}}}).Wait()
	a.pending = &st
	a.durable.Store(&st)
	a.mu.Unlock()
	must(t, err)
	for range 2 {
		must(t, a.View(t.Context(), func(v *View) error {
			for since, want := range map[ModSeq]string{0: "2:3,5", 3: "2:3,5", v.ModSeq() - 1: "5", v.ModSeq(): ""} {
				if got, err := v.Vanished(inbox, since); err != nil || got.String() != want {
					t.Errorf("vanished since %d: %v, %v", since, got, err)
				}
			}
			if err := v.Changes(0, func(Change) bool { return true }); mail.KindOf(err) != mail.NotFound {
				t.Errorf("changes below the floor: %v", err)
			}
			return nil
		}))
		a.evict()
	}
}

func reply(n int, subject string, refs ...string) string {
	text := fmt.Sprintf("Subject: %s\r\nMessage-ID: <m%d@x.test>\r\n", subject, n)
	if len(refs) > 0 {
		text += "References: <" + strings.Join(refs, "> <") + ">\r\nIn-Reply-To: <" + refs[len(refs)-1] + ">\r\n"
	}
	return text + "\r\nHello\r\n"
}

func TestThreads(t *testing.T) {
	g := &gate{Engine: mem.New()}
	s := openStore(t, g, Options{})
	a := newTestAccount(t, s, 1)
	inbox, sent := mailboxID(t, a, "INBOX"), mailboxID(t, a, "Sent")
	first := appendLetters(t, s, a, inbox, reply(1, "Plan"), reply(2, "Re: Plan", "m1@x.test"))
	rest := appendLetters(t, s, a, sent, reply(3, "Re: plan", "m1@x.test", "m2@x.test"), reply(4, "Other", "m1@x.test"),
		reply(5, "Re: Plan", "unseen@x.test"), reply(6, "Plan", "unseen@x.test"), "Subject: Plan\r\n\r\nnothing\r\n")
	all := append(first, rest...)
	var threads []ThreadID
	for _, x := range all {
		threads = append(threads, x.Thread)
	}
	if want := []ThreadID{1, 1, 1, 4, 5, 5, 7}; !slices.Equal(threads, want) {
		t.Errorf("threads %v, want %v", threads, want)
	}
	must(t, a.View(t.Context(), func(v *View) error {
		got, err := v.Thread(1)
		if want := []EmailID{1, 2, 3}; err != nil || !slices.Equal(got, want) {
			t.Errorf("thread has %v, %v", got, err)
		}
		e, err := v.Email(3)
		if err != nil || e.Thread != 1 {
			t.Errorf("email %+v, %v", e, err)
		}
		return nil
	}))
	// A reply whose parent is still on its way to the disk, and in one transaction.
	g.hold = make(chan struct{})
	g.arrived = make(chan struct{}, 9)
	done := make(chan Appended, 1)
	m10, m11, m12 := stage(t, s, reply(10, "New")), stage(t, s, reply(11, "Re: New", "m10@x.test")), stage(t, s, reply(12, "Re: New", "m11@x.test"))
	add := func(ms ...*Staged) {
		if err := a.Update(t.Context(), func(tx *Tx) error {
			for _, m := range ms {
				got, err := tx.Append(inbox, m, AppendOptions{})
				if err != nil {
					return err
				}
				done <- got
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	go add(m10)
	parent := <-done
	<-g.arrived
	finished := make(chan struct{})
	go func() { add(m11, m12); close(finished) }()
	child, grandchild := <-done, <-done
	close(g.hold)
	<-finished
	g.arrived = nil
	if child.Thread != parent.Thread || grandchild.Thread != parent.Thread {
		t.Errorf("threads %d %d %d", parent.Thread, child.Thread, grandchild.Thread)
	}
}

func TestRecent(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1), letter(2))
	steps := []struct {
		got, want UID
	}{{a.Recent(inbox), 1}, {a.ClaimRecent(inbox), 1}, {a.ClaimRecent(inbox), 3}, {a.Recent(inbox), 3}}
	appendLetters(t, s, a, inbox, letter(3))
	steps = append(steps, struct{ got, want UID }{a.Recent(inbox), 3})
	a.evict()
	steps = append(steps, struct{ got, want UID }{a.ClaimRecent(inbox), 3}, struct{ got, want UID }{a.ClaimRecent(inbox), 4})
	for i, x := range steps {
		if x.got != x.want {
			t.Errorf("step %d: %d, want %d", i, x.got, x.want)
		}
	}
	other, err := Open(t.Context(), eng, Options{})
	must(t, err)
	b, err := other.Account(t.Context(), 1)
	must(t, err)
	if got := b.Recent(inbox); got != 3 {
		t.Errorf("after a restart %d", got)
	}
}

// Replies find their parents also when the filter answers most lookups.
func TestThreadsOfManyMessages(t *testing.T) {
	s := openStore(t, mem.New(), Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	var texts []string
	const n = 3000
	for i := range n {
		texts = append(texts, reply(i, "Plan"))
	}
	parents := appendLetters(t, s, a, inbox, texts...)
	if a.threads.filter.bits == nil {
		t.Error("no filter was made")
	}
	for _, round := range []string{"filtered", "loaded"} {
		for i := 0; i < n; i += 97 {
			got := appendLetters(t, s, a, inbox, reply(n+i, "Re: Plan", fmt.Sprintf("m%d@x.test", i)))
			if got[0].Thread != parents[i].Thread {
				t.Fatalf("%s: reply to %d is in thread %d, want %d", round, i, got[0].Thread, parents[i].Thread)
			}
		}
		a.evict()
	}
}

// What changes nothing writes nothing; what is on its way to the disk can be read
// in an update.
func TestNothingAndPending(t *testing.T) {
	g := &gate{Engine: mem.New()}
	s := openStore(t, g, Options{})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1))
	before := g.commits.Load()
	change(t, a, func(tx *Tx) error {
		_, _, err := tx.SetFlags(inbox, UIDs(99), FlagChange{Op: FlagsAdd, Flags: []mail.Flag{"new"}})
		must(t, err)
		_, err = tx.Expunge(inbox, UIDs(99))
		must(t, err)
		must(t, tx.Subscribe("INBOX", true))
		must(t, tx.SetQuota(Quota{}))
		if k := tx.Keywords(); len(k) != 0 {
			t.Errorf("keywords %q", k)
		}
		return nil
	})
	if n := g.commits.Load() - before; n != 0 {
		t.Errorf("%d commits for nothing", n)
	}
	g.hold, g.arrived = make(chan struct{}), make(chan struct{}, 9)
	m := stage(t, s, letter(2))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Update(t.Context(), func(tx *Tx) error {
			got, err := tx.Append(inbox, m, AppendOptions{})
			if e, err := tx.Email(got.Email); err != nil || e.Size != m.Size() {
				t.Errorf("own email %+v, %v", e, err)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}()
	<-g.arrived
	must(t, a.View(t.Context(), func(v *View) error {
		if _, err := v.Email(2); mail.KindOf(err) != mail.NotFound {
			t.Errorf("an email that is not durable: %v", err)
		}
		return nil
	}))
	close(g.hold)
	change(t, a, func(tx *Tx) error {
		if _, err := tx.Email(2); err != nil {
			t.Error(err)
		}
		n := 0
		err := tx.Changes(0, func(Change) bool { n++; return true })
		if n != 9 { // three mailboxes, two subscriptions, two roles, two letters
			t.Errorf("%d changes", n)
		}
		return err
	})
	<-done
	g.arrived = nil
}
