package store

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posthouse/internal/codec"
)

// drawSet returns a set and its members.
func drawSet(t *rapid.T, label string) (UIDSet, map[UID]bool) {
	var s UIDSet
	m := map[UID]bool{}
	for range rapid.IntRange(0, 8).Draw(t, label) {
		a, b := UID(rapid.IntRange(1, 40).Draw(t, "a")), UID(rapid.IntRange(1, 40).Draw(t, "b"))
		s.AddRange(a, b)
		for u := min(a, b); u <= max(a, b); u++ {
			m[u] = true
		}
	}
	return s, m
}

func checkSet(t *rapid.T, what string, s UIDSet, want map[UID]bool) {
	for i, r := range s {
		if r.First > r.Last || i > 0 && r.First <= s[i-1].Last+1 {
			t.Fatalf("%s: %v is not in normal form", what, s)
		}
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, slices.Sorted(maps.Keys(want))) || s.Len() != len(want) {
		t.Fatalf("%s: %v holds %v, want %v", what, s, got, want)
	}
}

func TestUIDSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, am := drawSet(t, "a")
		b, bm := drawSet(t, "b")
		checkSet(t, "a", a, am)
		both, only, either := map[UID]bool{}, map[UID]bool{}, maps.Clone(bm)
		for u := range am {
			either[u] = true
			if bm[u] {
				both[u] = true
			} else {
				only[u] = true
			}
		}
		checkSet(t, "intersect", a.Intersect(b), both)
		checkSet(t, "subtract", a.Subtract(b), only)
		checkSet(t, "union", a.Union(b), either)
		for u := UID(0); u < 45; u++ {
			if a.Contains(u) != am[u] {
				t.Fatalf("%v contains %d: %v", a, u, a.Contains(u))
			}
		}
		d := decoder{codec.Decode(appendUIDSet(nil, a))}
		if back := d.uidSet(); d.err("set") != nil || !slices.Equal(back, a) {
			t.Fatalf("%v decodes as %v", a, back)
		}
	})
}

func TestUIDSetEnds(t *testing.T) {
	s := UIDSet{{5, 1<<32 - 1}}
	s.AddRange(1, 4)
	if got := s.String(); got != "1:4294967295" {
		t.Error(got)
	}
	if got := s.Subtract(UIDSet{{2, 1<<32 - 1}}).String(); got != "1" {
		t.Error(got)
	}
	n := 0
	for range (UIDSet{{1<<32 - 2, 1<<32 - 1}}).All() {
		n++
	}
	if n != 2 {
		t.Error(n)
	}
	if got := UIDs(7, 1, 3, 2).String(); got != "1:3,7" {
		t.Error(got)
	}
}
