package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"posthouse/store"
)

// TestFacts asks for the order and the threads of some messages again and again, also
// at once: what the account remembers of others before must not change the answer.
func TestFacts(t *testing.T) {
	acct, rows := bigBox(t, 300)
	ctx := context.Background()
	quiet := func(int) error { return nil }
	answer := func(rows []store.Row) string {
		order, err := Sort(ctx, acct, rows, []SortKey{{By: BySubject, Reverse: true}, {By: ByDate}}, quiet)
		if err != nil {
			t.Error(err)
		}
		said := fmt.Sprint(order)
		for _, by := range []ThreadBy{OrderedSubject, References, Refs} {
			f, err := Thread(ctx, acct, rows, by, quiet)
			if err != nil {
				t.Error(err)
				return ""
			}
			said += fmt.Sprint(f.Roots, f.kids, f.msgs)
		}
		return said
	}
	forget := func() {
		acct.Memo().Lock()
		acct.Memo().Value = nil
		acct.Memo().Unlock()
	}
	var some [8][]store.Row
	var want [8]string
	for i := range some {
		for _, r := range rows {
			if rand.IntN(4) <= i {
				some[i] = append(some[i], r)
			}
		}
		forget()
		want[i] = answer(some[i])
	}
	if reflect.DeepEqual(want[0], want[1]) {
		t.Fatal("all answers are alike")
	}
	forget()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range 24 {
				i := (n*5 + w) % len(some)
				if got := answer(some[i]); got != want[i] {
					t.Errorf("messages %d: %.200s, want %.200s", i, got, want[i])
				}
				if n%7 == w {
					forget()
				}
			}
		})
	}
	wg.Wait()
}
