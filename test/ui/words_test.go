package ui

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// What is said is t('…'), also one of two; names of actions, groups and choices stand in tables.
	wordTable = regexp.MustCompile(`\ba\('[\w-]+', '([^']+)', '([^']+)'|\bname: '([A-Z][^']+)'`)
	wordUsed  = regexp.MustCompile(`\bt\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")`)
	wordKnown = regexp.MustCompile(`(?m)^  "((?:[^"\\]|\\.)*)": "((?:[^"\\]|\\.)*)",?$`)
	argument  = regexp.MustCompile(`\{(\w+)`)
)

// same are words that a language has from English, or from the same source, as
// "language word".
var same = map[string]bool{
	"de Cc": true, "de Bcc": true, "de Offline": true, "es Cc": true, "ja Cc": true, "ja Bcc": true,
	"fr Date": true, "fr Message": true, "fr Cc": true, "fr Actions": true, "fr Signature": true, "fr Compact": true,
	"de Name": true, "fr Source": true, "fr Invitation": true,
	"fr {n, plural, one {# conversation} other {# conversations}}": true,
}

// Every text that the client says is there in every language, with the same arguments,
// and is a translation.
func TestWords(t *testing.T) {
	used := map[string]string{}
	err := filepath.WalkDir("../../web/ui/src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/words/") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range wordUsed.FindAllStringSubmatch(string(b), -1) {
			used[strings.ReplaceAll(m[1]+m[2], `\'`, `'`)] = path
		}
		for _, m := range wordTable.FindAllStringSubmatch(string(b), -1) {
			for _, word := range m[1:] {
				if word != "" && !strings.Contains(word, "/") { // no method of JMAP
					used[word] = path
				}
			}
		}
		return nil
	})
	if err != nil || len(used) < 100 {
		t.Fatal(len(used), err)
	}
	for _, language := range []string{"de", "fr", "es", "ar", "ja"} {
		b, err := os.ReadFile("../../web/ui/src/kit/words/" + language + ".ts")
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]string{}
		for _, m := range wordKnown.FindAllStringSubmatch(string(b), -1) {
			known[unquoted.Replace(m[1])] = unquoted.Replace(m[2])
		}
		for word, path := range used {
			text, ok := known[word]
			switch {
			case !ok:
				t.Errorf("%s: %s says %q, which is not there", language, path, word)
			case text == word && !same[language+" "+word]:
				t.Errorf("%s: %q is English", language, word)
			case arguments(text) != arguments(word):
				t.Errorf("%s: %q has the arguments %s, its translation %s", language, word, arguments(word), arguments(text))
			}
		}
	}
}

var unquoted = strings.NewReplacer(`\"`, `"`, `\\`, `\`)

var form = regexp.MustCompile(`(=\d+|zero|one|two|few|many|other) ?$`)

// arguments are the names in braces, without the forms of plurals.
func arguments(text string) string {
	names := map[string]bool{}
	for _, m := range argument.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		if form.MatchString(text[:m[0]]) {
			continue // the words of a plural
		}
		if end := text[m[3]:]; strings.HasPrefix(end, "}") || strings.HasPrefix(end, ", plural") {
			names[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}
