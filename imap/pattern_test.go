package imap

import (
	"strings"
	"testing"
	"time"
)

// slowMatch is what a pattern means, by trying everything.
func slowMatch(p, name string) bool {
	if p == "" {
		return name == ""
	}
	if p[0] != '*' && p[0] != '%' {
		return name != "" && p[0] == name[0] && slowMatch(p[1:], name[1:])
	}
	for i := 0; i <= len(name); i++ {
		if slowMatch(p[1:], name[i:]) {
			return true
		}
		if p[0] == '%' && i < len(name) && name[i] == '/' {
			return false
		}
	}
	return false
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"a/%", "a/b", true}, {"a/%", "a/b/c", false},
		{"%/%", "a/b", true}, {"a*c", "a/b/c", true}, {"", "", true}, {"", "a", false}, {"a%", "a", true}, {"%%*", "x/y", true},
		{strings.Repeat("x", 70) + "*y", strings.Repeat("x", 200) + "y", true},
		{strings.Repeat("%x", 80), strings.Repeat("x", 100), true},
		{"*" + strings.Repeat("é", 40), "abc" + strings.Repeat("é", 40), true},
	} {
		p := newPattern(c.pattern)
		for range 2 { // a pattern is used again and again
			if got := p.match(c.name); got != c.want {
				t.Errorf("%q %q: %v", c.pattern, c.name, got)
			}
		}
	}
}

// TestPatternTime: the worst pattern on the longest name takes no time.
func TestPatternTime(t *testing.T) {
	p, name := newPattern(strings.Repeat("*a", 500)+"b"), strings.Repeat("a", 1000)
	start := time.Now()
	for range 100 {
		if p.match(name) {
			t.Fatal("matches")
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("100 matches took %v", took)
	}
}

func TestMatcherInbox(t *testing.T) {
	for _, p := range []string{"inbox", "INBOX", "Inb%", "*", "in*x", "%"} {
		if !newMatcher("", []string{p}).match("INBOX") {
			t.Errorf("%s does not match INBOX", p)
		}
	}
	if !newMatcher("inbox/", []string{"%"}).match("INBOX/x") || newMatcher("", []string{"inbo"}).match("INBOX") {
		t.Error("levels below INBOX")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a%b*c", "a/b/c")
	f.Add("*a*a*a%", "aaaa/aa")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 80 {
			return
		}
		if got, want := newPattern(pattern).match(name), slowMatch(pattern, name); got != want {
			t.Fatalf("%q %q: %v", pattern, name, got)
		}
	})
}
