package ui

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the browser loads for a usable inbox, and for the composer, compressed.
func TestBudget(t *testing.T) {
	need(t)
	files, err := os.ReadDir("../../web/ui/dist/app")
	if err != nil {
		t.Fatal(err)
	}
	inbox, composer := int64(0), int64(0)
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		switch name := f.Name(); {
		case !strings.HasSuffix(name, ".gz"):
		case strings.HasPrefix(name, "app-"), strings.HasPrefix(name, "index-"):
			inbox += info.Size()
		case strings.HasPrefix(name, "Compose-"), strings.HasPrefix(name, "editor-"):
			composer += info.Size()
		}
	}
	t.Logf("to the inbox %d bytes, for the composer %d", inbox, composer)
	if inbox == 0 || inbox > 110_000 {
		t.Errorf("%d bytes to the inbox, at most 110,000", inbox)
	}
	if composer == 0 || composer > 60_000 {
		t.Errorf("%d bytes for the composer, at most 60,000", composer)
	}
}

// banned are the ways by which text becomes markup, and code.
var banned = regexp.MustCompile(`\binnerHTML\b|\bouterHTML\b|insertAdjacentHTML|document\.write|\{@html|\beval\(|new Function\(|srcdoc|createContextualFragment|DOMParser|setHTMLUnsafe`)

// The client makes its page from text nodes only.
func TestNoMarkupFromText(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../../web/ui/src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		for i, line := range strings.Split(string(b), "\n") {
			if m := banned.FindString(line); m != "" {
				t.Errorf("%s:%d: %s: make elements and text nodes", path, i+1, m)
			}
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Error(seen, err)
	}
}

var (
	derivedName = regexp.MustCompile(`\b(\w+) = \$derived`)
	asyncBody   = regexp.MustCompile(`\basync (?:function )?\w*\([^)]*\)(?:: [^{]*)? (?:=> )?\{`)
	quotedText  = regexp.MustCompile(`'(?:[^'\\\n]|\\.)*'`)
	awaits      = regexp.MustCompile(`\bawait\b`)
)

// late says which derived values an asynchronous function reads after it waited.
func late(source string) []string {
	script, _, _ := strings.Cut(source, "</script>")
	script = quotedText.ReplaceAllString(script, "''")
	var out []string
	for _, at := range asyncBody.FindAllStringIndex(script, -1) {
		depth, end := 1, at[1]
		for ; end < len(script) && depth > 0; end++ {
			switch script[end] {
			case '{':
				depth++
			case '}':
				depth--
			}
		}
		body := script[at[1]:end]
		first := awaits.FindStringIndex(body)
		if first == nil {
			continue
		}
		// What stands in the waiting statement itself is read before.
		_, after, _ := strings.Cut(body[first[1]:], "\n")
		for _, m := range derivedName.FindAllStringSubmatch(script, -1) {
			own := regexp.MustCompile(`\b(?:const|let) (?:[^\n;]*[, ])?` + m[1] + `\b ?[=,}\]]|[(,] ?` + m[1] + `\)? =>`)
			if use := regexp.MustCompile(`(?:^|[^.\w'])` + m[1] + `\b[^:'\w]`); use.MatchString(after) && !own.MatchString(body) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// A component that was left while it waited has no derived values any more: it takes
// them before it waits, or asks a flag that its effect sets when it ends.
func TestNothingDerivedIsReadLate(t *testing.T) {
	if got := late("const a = $derived(b)\nasync function f() {\n  await g()\n  return a + 1\n}\n</script>"); len(got) != 1 {
		t.Fatal(got)
	}
	seen := 0
	err := filepath.WalkDir("../../web/ui/src/views", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".svelte" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		for _, name := range late(string(b)) {
			t.Errorf("%s: %s is read after an await: take it before", path, name)
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatal(seen, err)
	}
}
