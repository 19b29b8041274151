package store

import (
	"slices"
	"testing"
)

// TestScans: the scans over columns find what a walk over the rows finds.
func TestScans(t *testing.T) {
	const n = 3000
	c := noContent
	var rows []Row
	for i := range n {
		rows = append(rows, Row{UID: UID(2*i + 1), ModSeq: ModSeq(i % 700), Email: EmailID(i + 1)})
	}
	c = c.append(rows[:1500]).append(rows[1500:])
	s := &Snapshot{mb: &Mailbox{}, content: c}
	for _, at := range []struct {
		since  ModSeq
		lo, hi int
	}{{0, 0, n}, {650, 0, n}, {699, 0, n}, {10, 1023, 1026}, {10, 5, 5}, {350, 2047, n}} {
		var want, got []int
		for i, r := range s.Rows(at.lo, at.hi) {
			if r.ModSeq > at.since {
				want = append(want, i)
			}
		}
		for i, r := range s.ChangedAfter(at.since, at.lo, at.hi) {
			if r != s.Row(i) {
				t.Fatalf("row %d is another", i)
			}
			got = append(got, i)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %d rows, want %d", at, len(got), len(want))
		}
	}
	if i := s.FirstWithout(SeenBit); i != 0 {
		t.Errorf("first unseen is %d", i)
	}
	if i := (&Snapshot{content: noContent}).FirstWithout(SeenBit); i != 0 {
		t.Errorf("of none: %d", i)
	}
}
