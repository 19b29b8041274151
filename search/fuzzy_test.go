package search

import (
	"context"
	"slices"
	"strings"
	"testing"

	"posthouse/store"
)

// scored runs a search and returns places and scores.
func (b box) scored(t testing.TB, k Key) (found []int, scores []int) {
	t.Helper()
	err := RunScored(context.Background(), b.acct, Window{b.snap, 0, b.snap.Len()}, k, func(i int, _ store.Row, score uint8) bool {
		found, scores = append(found, i+1), append(scores, int(score))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, scores
}

// RFC 6203 §3 and §4: what is near, and how near.
func TestFuzzy(t *testing.T) {
	b := newBox(t, testMessages...)
	for _, c := range []struct {
		name   string
		key    Key
		found  []int
		scores []int
	}{
		{"same word", Fuzzy{Header{"Subject", "lunch"}}, []int{1}, []int{100}},
		{"two letters changed places", Fuzzy{Header{"Subject", "lunhc"}}, []int{1}, []int{60}},
		{"a letter is missing", Fuzzy{Header{"Subject", "lnch"}}, []int{1}, []int{60}},
		{"the beginning", Fuzzy{Header{"Subject", "lun"}}, []int{1}, []int{85}},
		{"in the middle", Fuzzy{Header{"Subject", "unc"}}, []int{1}, []int{65}},
		{"other fields weigh less", Fuzzy{Header{"From", "list"}}, []int{3}, []int{90}},
		{"without its accents", Fuzzy{Text("jorg")}, []int{2}, []int{90}},
		{"a phrase in the body", Fuzzy{Body("eat at noon")}, []int{1}, []int{70}},
		{"its words in any order", Fuzzy{Body("noon eat")}, []int{1}, []int{63}},
		{"a word is not there", Fuzzy{Body("noon dinner")}, nil, nil},
		{"at the end of a long text", Fuzzy{Body("haystack end")}, []int{4}, []int{70}},
		{"no words: exact", Fuzzy{Body("?")}, []int{1}, []int{100}},
		{"flags are exact", Fuzzy{And{Flag("$Work"), Header{"Subject", "gruse"}}}, nil, nil},
		{"logic", Fuzzy{Or{Header{"Subject", "lunch"}, Header{"Subject", "news"}}}, []int{1, 3}, []int{100, 100}},
		{"behind not: exact", Fuzzy{Not{Header{"Subject", "lunhc"}}}, []int{1, 2, 3, 4}, []int{100, 100, 100, 100}},
		{"exact keys beside it", And{Fuzzy{Text("noon")}, Header{"Subject", "lunch"}}, []int{1}, []int{70}},
	} {
		found, scores := b.scored(t, c.key)
		if !slices.Equal(found, c.found) || !slices.Equal(scores, c.scores) {
			t.Errorf("%s: %v %v, want %v %v", c.name, found, scores, c.found, c.scores)
		}
	}
}

// slowDistance is the definition.
func slowDistance(a, b string) int {
	switch {
	case a == "":
		return len(b)
	case b == "":
		return len(a)
	}
	la, lb := len(a), len(b)
	cost := 1
	if a[la-1] == b[lb-1] {
		cost = 0
	}
	d := min(slowDistance(a[:la-1], b)+1, slowDistance(a, b[:lb-1])+1, slowDistance(a[:la-1], b[:lb-1])+cost)
	if la > 1 && lb > 1 && a[la-1] == b[lb-2] && a[la-2] == b[lb-1] {
		d = min(d, slowDistance(a[:la-2], b[:lb-2])+1)
	}
	return d
}

func TestDistance(t *testing.T) {
	words := []string{"A", "AB", "BA", "ABCD", "ACBD", "LUNCH", "LUNHC", "LAUNCH", "NOON", "XABCDE"}
	for _, a := range words {
		for _, b := range words {
			if got, want := distance([]byte(a), []byte(b)), slowDistance(a, b); got != want {
				t.Errorf("%s %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

// FuzzTokens: words do not depend on how the text comes in pieces, and whatever comes
// is measured without harm.
func FuzzTokens(f *testing.F) {
	f.Add("caf\u00e9 \u2026 \u3000x", 3, "cafe")
	f.Add(strings.Repeat("x", 5000), 4096, "xxxxxxxx")
	f.Fuzz(func(t *testing.T, text string, cut int, want string) {
		folded := fold(nil, []byte(text))
		var whole, parts []string
		var a, b tokens
		a.add(folded, true, func(w []byte) { whole = append(whole, string(w)) })
		n := newFuzzyNeedle(want)
		for _, w := range whole {
			if n != nil {
				if s := likeness([]byte(w), n.words[0]); s < 0 || s > 100 {
					t.Fatalf("%q is like %q: %d", w, n.words[0], s)
				}
			}
		}
		at := 0
		for i := range string(folded) { // pieces end at characters
			if i >= max(cut, 0) {
				at = i
				break
			}
		}
		b.add(folded[:at], false, func(w []byte) { parts = append(parts, string(w)) })
		b.add(folded[at:], true, func(w []byte) { parts = append(parts, string(w)) })
		if !slices.Equal(whole, parts) {
			t.Fatalf("%q cut at %d: %q, whole %q", folded, at, parts, whole)
		}
	})
}
