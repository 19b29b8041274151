package lint

import (
	"fmt"
	"go/ast"
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

// numberedRE matches records and notes that have a number.
var numberedRE = regexp.MustCompile(`^((?:docs/)?(decisions|changes)/(\d{4}))-[a-z0-9-]+\.md$`)

func TestDocs(t *testing.T)       { check(t, docs) }
func TestGuarantees(t *testing.T) { check(t, guarantees) }

// docs checks that relative links lead somewhere, that each "make X" exists and
// that decisions and notes have numbers of their own.
func docs(tr *tree) []string {
	targets := map[string]bool{}
	for _, m := range targetRE.FindAllStringSubmatch(tr.texts["Makefile"], -1) {
		for name := range strings.FieldsSeq(m[1]) {
			targets[name] = true
		}
	}
	var out []string
	numbers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(tr.texts)) {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		text := tr.texts[name]
		if m := numberedRE.FindStringSubmatch(name); m != nil {
			if other, taken := numbers[m[1]]; taken {
				out = append(out, fmt.Sprintf("%s: %s has that number: take the next free one", name, other))
			}
			numbers[m[1]] = name
			if m[2] == "decisions" && !strings.HasPrefix(text, "# "+m[3]+" ") {
				out = append(out, fmt.Sprintf("%s: its first line must be \"# %s The decision\"", name, m[3]))
			}
		}
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

const guaranteesFile = "docs/guarantees.md"

var (
	rowRE   = regexp.MustCompile(`(?m)^\| ([A-Z][0-9]+) \|.*$`)
	proofRE = regexp.MustCompile("`([a-z0-9/]+)(?:\\.((?:Test|Fuzz|test)[A-Za-z0-9]*)|/([a-z0-9_*]+\\.txt))`")
)

// guarantees checks that each line names tests, and that they exist: functions as
// `+"`store.TestModel`"+`, transcripts as `+"`imap/testdata/idle.txt`"+` or with a *.
func guarantees(tr *tree) []string {
	funcs := map[string]bool{}
	for _, f := range tr.files {
		for _, d := range f.ast.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Recv == nil {
				funcs[f.dir+"."+fd.Name.Name] = true
			}
		}
	}
	var out []string
	for _, row := range rowRE.FindAllStringSubmatch(tr.texts[guaranteesFile], -1) {
		cells := strings.Split(row[0], "|")
		proofs := proofRE.FindAllStringSubmatch(cells[len(cells)-2], -1)
		if len(proofs) == 0 {
			out = append(out, fmt.Sprintf("%s: %s names no test", guaranteesFile, row[1]))
		}
		for _, p := range proofs {
			if p[2] != "" && !funcs[p[1]+"."+p[2]] {
				out = append(out, fmt.Sprintf("%s: %s: there is no function %s.%s", guaranteesFile, row[1], p[1], p[2]))
			}
			if p[3] != "" && !hasText(tr, p[1]+"/"+p[3]) {
				out = append(out, fmt.Sprintf("%s: %s: there is no file %s/%s", guaranteesFile, row[1], p[1], p[3]))
			}
		}
	}
	return out
}

func hasText(tr *tree, pattern string) bool {
	for name := range tr.texts {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
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

func TestGuaranteesRules(t *testing.T) {
	for row, want := range map[string]string{
		"| A1 | x | y | `a.TestB`, `a/testdata/c_*.txt` |": "",
		"| A1 | x | `a.TestB` | nothing |":                 "A1 names no test",
		"| A1 | x | y | `a.TestC` |":                       "no function a.TestC",
		"| A1 | x | y | `a/testdata/d.txt` |":              "no file a/testdata/d.txt",
	} {
		finds(t, guarantees(of(t, map[string]string{guaranteesFile: row, "a/b_test.go": "package a\nfunc TestB() {}\n", "a/testdata/c_1.txt": ""})), want)
	}
}

func TestArchitectureNamesPackages(t *testing.T) { check(t, unnamed) }

const architectureFile = "docs/architecture.md"

// unnamed finds packages that the map of the house does not show.
func unnamed(tr *tree) []string {
	var out []string
	for _, dir := range slices.Sorted(maps.Keys(tr.packages())) {
		if dir != "." && !strings.Contains(tr.texts[architectureFile], "`"+dir+"`") {
			out = append(out, fmt.Sprintf("%s: package %s is not on the map: say in its table what it is", architectureFile, dir))
		}
	}
	return out
}

func TestDocsRules(t *testing.T) {
	finds(t, unnamed(of(t, map[string]string{"a/a.go": "package a\n", "b/b.go": "package b\n", architectureFile: "`a`"})), "package b is not on the map")
	finds(t, docs(of(t, map[string]string{"docs/decisions/0001-a.md": "# 0001 A\n", "docs/decisions/0001-b.md": "# 0001 B\n"})), "has that number")
	finds(t, docs(of(t, map[string]string{"docs/decisions/0001-a.md": "# 0002 A\n"})), "first line")
	finds(t, docs(of(t, map[string]string{"docs/decisions/0001-a.md": "# 0001 A\n", "changes/0001-b.md": "x\n"})), "")
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
