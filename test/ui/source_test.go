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
