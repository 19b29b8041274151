package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFormatNamesEachKey wants every kind of key that the engine and the store have,
// and every prefix in the engine's account 0, to be described in docs/format.md or
// docs/format-records.md.
func TestFormatNamesEachKey(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	files, records := read("docs/format.md"), read("docs/format-records.md")
	for _, c := range []struct {
		sources []string
		is      string // the constants, whose value is the group
		doc     string
		before  string // of the value, in front of what it is
		least   int
	}{
		{[]string{"store/engine/local/keys.go"}, `\tkind\w+ += '(.)'`, files, "| `", 12},
		{[]string{"store/keys.go"}, `\tkey(?:[A-DF-Z]\w+|E[a-mo-z]\w+) += '(.)'`, records, "`", 20},
		{[]string{"store/share.go", "store/ledger.go", "store/reap_schedule.go"}, `\t(?:shared|domain|expunged)\w+ += '(.)'`, records, "`s", 6},
		{[]string{"queue/record.go", "queue/add.go", "queue/attempt.go"}, `(?:keyOf\(|\{'q', )'(.)'`, files, "`q", 3},
		{[]string{"queue/suppress.go", "tlspolicy/sts.go", "server/srs.go", "report/log.go", "report/tally.go", "report/send.go", "delivery/caps.go"},
			`(?:Key|Span|Prefix)\s*= \S*"([a-z]{2})"|return (?:append\()?(?:binary\S+\()?(?:\[\]byte\()?"(qx|o[dk])"`, files, "`", 8},
	} {
		found := map[string]bool{}
		for _, name := range c.sources {
			if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(name))); err != nil {
				t.Errorf("%s is not there: where are its keys now?", name)
				continue
			}
			for _, m := range regexp.MustCompile(c.is).FindAllStringSubmatch(read(name), -1) {
				found[strings.Join(m[1:], "")] = true
			}
		}
		t.Logf("%q: %v", c.sources, found)
		if len(found) < c.least {
			t.Errorf("in %q there are %d kinds of keys only", c.sources, len(found))
		}
		for key := range found {
			if !regexp.MustCompile(regexp.QuoteMeta(c.before+key) + "[ `]").MatchString(c.doc) {
				t.Errorf("keys %q of %q are not described", c.before[strings.Index(c.before, "`")+1:]+key, c.sources)
			}
		}
	}
}
