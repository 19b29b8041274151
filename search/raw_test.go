package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var rawNow = time.Date(2026, 5, 4, 10, 30, 0, 0, time.UTC)

func TestParseRaw(t *testing.T) {
	label := func(name string) Key { return Header{"label", name} }
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		query string
		want  Key
	}{
		{"", And(nil)},
		{"  ", And(nil)},
		{"lunch noon", And{Text("lunch"), Text("noon")}},
		{`"at noon" -dinner`, And{Text("at noon"), Not{Text("dinner")}}},
		{"from:ada subject:(lunch -dinner)", And{Header{"From", "ada"}, And{Header{"Subject", "lunch"}, Not{Header{"Subject", "dinner"}}}}},
		{`from:"Ada L"`, And{Header{"From", "Ada L"}}},
		{"to:ben", And{Or{Header{"To", "ben"}, Header{"Cc", "ben"}, Header{"Bcc", "ben"}}}},
		{"a b OR c OR d e", And{Text("a"), Or{Text("b"), Text("c"), Text("d")}, Text("e")}},
		{"a | b", And{Or{Text("a"), Text("b")}}},
		{"{a from:b} OR c", And{Or{Or{Text("a"), Header{"From", "b"}}, Text("c")}}},
		{"OR a OR", And{Text("a")}},
		{"-(a b)", And{Not{And{Text("a"), Text("b")}}}},
		{"--a", And{Text("a")}},
		{"e-mail a:b http://x", And{Text("e-mail"), Text("a:b"), Text("http://x")}},
		{"has:attachment filename:pdf", And{HasAttachment{}, Filename("pdf")}},
		{"is:unread -is:starred is:odd", And{Not{Flag(`\Seen`)}, Not{Flag(`\Flagged`)}, Text("is:odd")}},
		{"label:work in:inbox", And{label("work"), label("inbox")}},
		{`label:"my work"`, And{label("my work")}},
		{"before:2026/05/04 after:2026-4-1", And{Received{To: day(2026, 5, 4)}, Received{From: day(2026, 4, 1)}}},
		{"older:05/04/2026 newer:1777890600", And{Received{To: day(2026, 5, 4)}, Received{From: time.Unix(1777890600, 0)}}},
		{"older_than:2d newer_than:1y", And{Received{To: rawNow.AddDate(0, 0, -2)}, Received{From: rawNow.AddDate(-1, 0, 0)}}},
		{"older_than:x before:yesterday", And{Or{}, Or{}}},
		{"larger:10k smaller:5M size:100", And{Larger(10 << 10), Smaller(5 << 20), Larger(100)}},
		{"larger:10MB", And{Larger(10 << 20)}},
		{"list:dev.example rfc822msgid:<a@b>", And{Header{"List-Id", "dev.example"}, Header{"Message-ID", "<a@b>"}}},
		{"from: ada", And{Text("ada")}},
		{`"open`, And{Text("open")}},
		{"a ) b ( c", And{Text("a"), Text("b"), Text("c")}},
		{"()", And(nil)},
		{"Orange", And{Text("Orange")}},
	} {
		got, err := ParseRaw(c.query, RawQuery{Now: rawNow, Label: label})
		if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", c.want); err != nil || g != w {
			t.Errorf("%s\n got %s %v\nwant %s", c.query, g, err, w)
		}
	}
	for _, q := range []string{strings.Repeat("(", 100), strings.Repeat("a ", 1000)} {
		if _, err := ParseRaw(q, RawQuery{Now: rawNow}); !errors.Is(err, ErrRawQuery) {
			t.Errorf("%.10s…: %v", q, err)
		}
	}
}

func TestRaw(t *testing.T) {
	b := newBox(t, testMessages...)
	for query, want := range map[string][]int{
		"":                            {1, 2, 3, 4},
		"noon":                        {1},
		"from:ada OR from:list":       {1, 3},
		"filename:HIDDEN":             {3},
		"filename:.exe":               nil,
		"has:attachment -filename:x":  {3},
		"is:read":                     {2, 4},
		"subject:{lunch news} noon":   {1},
		"after:2026/03/02 in:trash":   nil,
		"after:2026/03/02 older:9999": {},
		"larger:100k":                 {4},
		"köln":                        {2},
	} {
		k, err := ParseRaw(query, RawQuery{Now: firstDay.AddDate(0, 0, 9)})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.run(t, k); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
}

// FuzzParseRaw: any text is a query, and reading it ends.
func FuzzParseRaw(f *testing.F) {
	for _, s := range []string{"from:(a OR b) -{c \"d e\"} has:attachment older_than:3m larger:10M", "((((", "a|b|c", "-", "\"", "in:inbox label:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseRaw(s, RawQuery{Now: rawNow, Label: func(string) Key { return All{} }})
		if err == nil {
			prepare(k)
		}
	})
}
