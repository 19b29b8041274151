package store

import (
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// reading counts the accounts that are read.
type reading struct {
	engine.Engine
	accounts map[engine.Account]int
}

func (e *reading) Snapshot(a engine.Account) engine.Reader {
	e.accounts[a]++
	return e.Engine.Snapshot(a)
}

// What the accounts of a domain hold is known at the next start, without reading them.
func TestDomainSumsAreKept(t *testing.T) {
	eng := mem.New()
	s := openStore(t, eng, Options{})
	size := int64(len(letter(1)))
	var accts []*Account
	for id, d := range []mail.Domain{"demo.test", "demo.test", "far.test", ""} {
		a := newTestAccount(t, s, mail.AccountID(id+1))
		change(t, a, func(tx *Tx) error { return tx.SetDomain(d) })
		appendLetters(t, s, a, mailboxID(t, a, "INBOX"), letter(1), letter(2))
		accts = append(accts, a)
	}
	if r := records(t, s, 0); r[keyStore] > 0 {
		t.Errorf("%d records before there is a quota", r[keyStore])
	}
	must(t, s.SetDomainQuota(t.Context(), "demo.test", 6*size))
	appendLetters(t, s, accts[0], mailboxID(t, accts[0], "INBOX"), letter(3))
	change(t, accts[2], func(tx *Tx) error {
		_, err := tx.Expunge(mailboxOf(t, tx, "INBOX"), UIDs(1))
		return err
	})
	change(t, accts[3], func(tx *Tx) error { return tx.SetDomain("new.test") })
	change(t, accts[1], func(tx *Tx) error {
		return tx.SetAnnotation(mailboxOf(t, tx, "INBOX"), 0, "/comment", []byte("12"))
	})
	want := map[mail.Domain]int64{"demo.test": 5*size + int64(len("/comment")+2), "far.test": size, "new.test": 2 * size}
	sums := func(s *Store) {
		t.Helper()
		for d, n := range want {
			if got := s.DomainUsage(d); got != n {
				t.Errorf("%s holds %d, want %d", d, got, n)
			}
		}
	}
	sums(s)
	checkStore(t, s)
	read := &reading{eng, map[engine.Account]int{}}
	again, err := Open(t.Context(), read, Options{Now: newClock().now})
	must(t, err)
	defer again.Close()
	must(t, again.SetDomainQuota(t.Context(), "demo.test", 6*size))
	must(t, again.SetDomainQuota(t.Context(), "far.test", size))
	if delete(read.accounts, 0); len(read.accounts) > 0 {
		t.Errorf("accounts %v were read", read.accounts)
	}
	sums(again)
	b, err := again.Account(t.Context(), 1)
	must(t, err)
	m := stage(t, again, letter(4))
	wantKind(t, "beyond the quota", b.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.Append(mailboxOf(t, tx, "INBOX"), m, AppendOptions{})
		return err
	}), mail.OverQuota)
	sums(again)
}

// A commit that failed is not in the sums, and what it would have made of them is put
// right with the next.
func TestDomainSumsAfterFailure(t *testing.T) {
	g := &gate{Engine: mem.New()}
	s := openStore(t, g, Options{})
	a, b := newTestAccount(t, s, 1), newTestAccount(t, s, 2)
	for _, x := range []*Account{a, b} {
		change(t, x, func(tx *Tx) error { return tx.SetDomain("demo.test") })
	}
	size := int64(len(letter(1)))
	must(t, s.SetDomainQuota(t.Context(), "demo.test", 3*size))
	failed := fail(mail.Unavailable, "Commit", "it failed")
	for range 5 {
		g.refuse = func(int64) error { return failed }
		m := stage(t, s, letter(1))
		err := a.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.Append(mailboxOf(t, tx, "INBOX"), m, AppendOptions{})
			return err
		})
		if err == nil {
			t.Fatal("it did not fail")
		}
		g.refuse = nil
	}
	if n := s.DomainUsage("demo.test"); n != 0 {
		t.Errorf("%d bytes of nothing", n)
	}
	appendLetters(t, s, b, mailboxID(t, b, "INBOX"), letter(1), letter(2))
	appendLetters(t, s, a, mailboxID(t, a, "INBOX"), letter(3))
	if n := s.DomainUsage("demo.test"); n != 3*size {
		t.Errorf("%d bytes, want %d", n, 3*size)
	}
}

// A sum that is wrong is found and mended.
func TestDomainSumsAreMended(t *testing.T) {
	for name, op := range map[string]engine.Op{
		"wrong":   {Key: domainKey("demo.test"), Val: appendSum(7)},
		"missing": {Kind: engine.Delete, Key: domainKey("demo.test")},
		"stray":   {Key: domainKey("nobody.test"), Val: appendSum(7)},
		"damaged": {Key: domainKey("demo.test"), Val: []byte{formatVersion}},
	} {
		eng := mem.New()
		s, err := Open(t.Context(), eng, Options{Now: newClock().now})
		must(t, err)
		a := newTestAccount(t, s, 1)
		change(t, a, func(tx *Tx) error { return tx.SetDomain("demo.test") })
		appendLetters(t, s, a, mailboxID(t, a, "INBOX"), letter(1))
		must(t, s.SetDomainQuota(t.Context(), "demo.test", 1<<20))
		_, err = eng.Commit(t.Context(), &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{op}}).Wait()
		must(t, err)
		problems := 0
		must(t, s.Check(t.Context(), false, func(mail.AccountID, string) { problems++ }))
		mended := 0
		must(t, s.Repair(t.Context(), nil, func(mail.AccountID, string) { mended++ }))
		if problems == 0 || mended == 0 {
			t.Errorf("%s: %d problems, %d mended", name, problems, mended)
		}
		checkStore(t, s)
		must(t, s.Close())
	}
}
