package lint

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linkRE   = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	headRE   = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	makeRE   = regexp.MustCompile("(?m)(?:`|^\\s*(?:\\$ )?)make ([a-z][a-z0-9-]*)")
	targetRE = regexp.MustCompile(`(?m)^([a-z][a-z0-9 -]*):(?:[^=]|$)`)
)

func TestDocs(t *testing.T) { check(t, docs) }

// docs checks that relative links lead somewhere and that each "make X" exists.
func docs(tr *tree) []string {
	targets := map[string]bool{}
	for _, m := range targetRE.FindAllStringSubmatch(tr.texts["Makefile"], -1) {
		for name := range strings.FieldsSeq(m[1]) {
			targets[name] = true
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(tr.texts)) {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		text := tr.texts[name]
		for _, m := range makeRE.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				out = append(out, fmt.Sprintf("%s: \"make %s\": the Makefile has no such target", name, m[1]))
			}
		}
		for _, m := range linkRE.FindAllStringSubmatch(withoutCode(text), -1) {
			if why := deadLink(tr, name, m[1]); why != "" {
				out = append(out, fmt.Sprintf("%s: link %q: %s", name, m[1], why))
			}
		}
	}
	return out
}

var (
	fenceRE = regexp.MustCompile("(?ms)^```.*?^```")
	spanRE  = regexp.MustCompile("`[^`\n]*`")
)

func withoutCode(md string) string {
	return spanRE.ReplaceAllString(fenceRE.ReplaceAllString(md, ""), "")
}

func deadLink(tr *tree, from, link string) string {
	if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
		return ""
	}
	file, anchor, hasAnchor := strings.Cut(link, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
		if !tr.has(target) {
			return "no such file"
		}
	}
	if !hasAnchor || !strings.HasSuffix(target, ".md") {
		return ""
	}
	for _, m := range headRE.FindAllStringSubmatch(tr.texts[target], -1) {
		if slug(m[1]) == anchor {
			return ""
		}
	}
	return target + " has no such heading"
}

// slug makes the anchor of a heading, as forges do.
func slug(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestDocsRules(t *testing.T) {
	for _, c := range []struct{ md, want string }{
		{"[a](b.md) and [c](../Makefile \"title\")", ""},
		{"[a](b.md#some-heading)", ""},
		{"[a](b.md#other)", "no such heading"},
		{"[a](c.md)", "no such file"},
		{"[a](https://example.org/x.md), `[a](c.md)`\n```\n[a](c.md)\n```\n", ""},
		{"Run `make test`.", ""},
		{"Run `make tea`.", "no such target"},
		{"```\n$ make tea\n```\n", "no such target"},
		{"to make sense", ""},
	} {
		finds(t, docs(of(t, map[string]string{"docs/a.md": c.md, "docs/b.md": "# Some heading\n", "Makefile": ".PHONY: x\nGO := go\ntest check: build\n\tgo test\n"})), c.want)
	}
}
