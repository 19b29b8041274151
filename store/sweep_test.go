package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

// Keywords that no message has make room for others, however many come and go; what a
// session holds keeps its words.
func TestFlagsAreFreed(t *testing.T) {
	clock := newClock()
	s := openStore(t, mem.New(), Options{Now: clock.now, Limits: Limits{Keywords: 3}})
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	appendLetters(t, s, a, inbox, letter(1), letter(2))
	set := func(u UID, flags ...mail.Flag) error {
		a.swept = 0 // not only each hundredth time
		return a.Update(t.Context(), func(tx *Tx) error {
			_, _, err := tx.SetFlags(inbox, UIDs(u), FlagChange{Op: FlagsReplace, Flags: flags})
			return err
		})
	}
	must(t, set(1, "a", "b"))
	must(t, set(2, "c", mail.FlagSeen))
	wantKind(t, "too many", set(2, "c", "d"), mail.TooLarge)
	grant(t, a, inbox, 2, false, "lrs")
	guest := a.As(Principal{Account: 2})
	before, theirs := snapshotOf(t, a, inbox), snapshotOf(t, guest, inbox)
	must(t, set(1, "a"))
	must(t, set(2, "d", "c"))
	now := snapshotOf(t, a, inbox)
	for i, x := range []struct {
		snap *Snapshot
		row  int
		want string
	}{{before, 0, "a b"}, {before, 1, `\Seen c`}, {theirs, 1, "c"}, {now, 0, "a"}, {now, 1, "d c"}, {snapshotOf(t, guest, inbox), 1, "d c"}} {
		got := mail.Flag(x.snap.FlagText(x.snap.Row(x.row).Flags))
		if !maps2(string(got), x.want) {
			t.Errorf("%d: flags %q, want %q", i, got, x.want)
		}
	}
	if got := now.Keywords(); len(got) != 3 || slices.Contains(got, "b") || !slices.Contains(got, "d") {
		t.Errorf("keywords %q", got)
	}
	// What can be put back keeps its flags.
	change(t, a, func(tx *Tx) error { _, err := tx.Expunge(inbox, UIDs(2)); return err })
	wantKind(t, "those of expunged mail", set(1, "x", "y", "z"), mail.TooLarge)
	change(t, a, func(tx *Tx) error { _, err := tx.Undelete(time.Unix(0, 0)); return err })
	back := snapshotOf(t, a, inbox)
	if got := back.FlagText(back.Row(1).Flags); !maps2(got, "c d") {
		t.Errorf("put back with %q", got)
	}
	a.evict()
	must(t, set(1))
	must(t, set(3))
	must(t, s.Reap(t.Context(), clock.t.Add(time.Hour)))
	must(t, set(1, "x", "y", "z"))
}

func maps2(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}

// Many words over a few messages, with the account read again at any time: each message
// has what it was given.
func TestFlagsComeAndGo(t *testing.T) {
	s := openStore(t, mem.New(), Options{Limits: Limits{Keywords: 12}, ReapAfter: -1})
	s.maxTail.actions = 7
	a := newTestAccount(t, s, 1)
	inbox := mailboxID(t, a, "INBOX")
	const n = 4
	for range n {
		appendLetters(t, s, a, inbox, letter(1))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	want := make([]string, n)
	refused := 0
	for i := range 600 {
		u := rnd.IntN(n)
		words := []mail.Flag{mail.Flag(fmt.Sprint("w", rnd.IntN(40))), mail.Flag(fmt.Sprint("w", rnd.IntN(40)))}
		a.swept = 0
		abort := rnd.IntN(5) == 0
		err := a.Update(t.Context(), func(tx *Tx) error {
			if _, _, err := tx.SetFlags(inbox, UIDs(UID(u+1)), FlagChange{Op: FlagsReplace, Flags: words}); err != nil {
				return err
			}
			if abort {
				return errStop
			}
			return nil
		})
		switch {
		case err == errStop:
		case err != nil:
			refused++
		default:
			if want[u] = string(words[0] + " " + words[1]); words[0] == words[1] {
				want[u] = string(words[0])
			}
		}
		if rnd.IntN(10) == 0 {
			a.evict()
		}
		snap := snapshotOf(t, a, inbox)
		for j := range n {
			if got := snap.FlagText(snap.Row(j).Flags); !maps2(got, want[j]) {
				t.Fatalf("step %d: message %d has %q, want %q", i, j, got, want[j])
			}
		}
		if i%50 == 0 {
			checkStore(t, s)
		}
	}
	if refused > 0 {
		t.Errorf("%d of 600 refused", refused)
	}
}
