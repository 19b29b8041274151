package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var citeRE = regexp.MustCompile(`\bRFCs?\s+(\d{3,5})\b`)

// citations are where RFCs are named in the tree: packages in code, and
// transcripts, by RFC.
type citations struct{ code, dialogues map[int]map[string]bool }

func (c citations) add(m map[int]map[string]bool, text, where string) {
	for _, hit := range citeRE.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(hit[1])
		if err != nil {
			continue
		}
		if m[n] == nil {
			m[n] = map[string]bool{}
		}
		m[n][where] = true
	}
}

func (c citations) addCode(file, dir string) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, g := range f.Comments {
		c.add(c.code, strings.ReplaceAll(g.Text(), "\n", " "), dir)
	}
	ast.Inspect(f, func(n ast.Node) bool { // tables name their RFC as a string
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			c.add(c.code, lit.Value, dir)
		}
		return true
	})
	return nil
}

func cited(root string) (citations, error) {
	c := citations{map[int]map[string]bool{}, map[int]map[string]bool{}}
	return c, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		dir := path.Dir(rel)
		switch {
		case d.IsDir() && (rel != "." && d.Name()[0] == '.' || rel == "internal/lint" || rel == "internal/transcript" || rel == "test" || rel == "docs" || rel == "bench"):
			return filepath.SkipDir
		case strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, "_test.go") && dir != ".":
			return c.addCode(file, dir)
		case strings.Contains(rel, "/testdata/") && strings.HasSuffix(rel, ".txt"):
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			first, _, _ := strings.Cut(string(text), "\n")
			c.add(c.dialogues, first, rel)
		}
		return nil
	})
}

func TestRFC(t *testing.T) {
	c, err := cited("../..")
	if err != nil {
		t.Fatal(err)
	}
	titles, err := os.ReadFile("rfc_titles.txt")
	if err != nil {
		t.Fatal(err)
	}
	title := map[int]string{}
	for line := range strings.Lines(string(titles)) {
		num, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(num)
		if err != nil {
			t.Fatalf("rfc_titles.txt: %q", line)
		}
		title[n] = text
	}
	all := maps.Clone(c.code)
	maps.Copy(all, c.dialogues)
	var b strings.Builder
	b.WriteString("# RFCs\n\nWhich standards the code cites, where, and how many dialogues show them. Made from the citations themselves, which\nname sections: search for `RFC 9051 §` in a package.\n\n| RFC | title | cited in | dialogues |\n|---|---|---|--:|\n")
	for _, n := range slices.Sorted(maps.Keys(all)) {
		var where []string
		for _, dir := range slices.Sorted(maps.Keys(c.code[n])) {
			where = append(where, "`"+dir+"`")
		}
		fmt.Fprintf(&b, "| [%d](https://www.rfc-editor.org/rfc/rfc%d) | %s | %s | %d |\n", n, n, title[n], strings.Join(where, " "), len(c.dialogues[n]))
	}
	extensions, err := imapExtensions("../../imap")
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString(extensions)
	const file = "../../docs/rfc.md"
	if *update {
		same(t, file, b.String())
	}
	// Which packages cite an RFC changes daily; which RFCs are cited must be right.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var listed []int
	for _, m := range rowRE.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, n)
	}
	if want := slices.Sorted(maps.Keys(all)); !slices.Equal(listed, want) {
		t.Errorf("%s lists %v, cited are %v: run make docs", file, listed, want)
	}
}

var extensionRE = regexp.MustCompile(`&extension\{\s*name: "([^"]+)",(?:\s*rfc: "RFC (\d+)")?`)

// imapExtensions lists what the server announces over IMAP: each extension, its file
// and the dialogues that show it.
func imapExtensions(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	var rows []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		for _, m := range extensionRE.FindAllStringSubmatch(string(text), -1) {
			base := strings.NewReplacer("=", "_", "-", "_", "+", "_plus").Replace(strings.ToLower(m[1]))
			shown, err := filepath.Glob(filepath.Join(dir, "testdata", base+"*.txt"))
			if err != nil {
				return "", err
			}
			for i := range shown {
				shown[i] = strings.TrimSuffix(filepath.Base(shown[i]), ".txt")
			}
			shown = slices.DeleteFunc(shown, func(s string) bool { // others whose names only begin so
				return s != base && s != base+"_two" && s != base+"_bad"
			})
			rows = append(rows, fmt.Sprintf("| %s | %s | `imap/%s` | %s |\n", m[1], m[2], filepath.Base(file), strings.Join(shown, " ")))
		}
	}
	slices.Sort(rows)
	return "\n## IMAP capabilities\n\nEach with its file and its dialogues in `imap/testdata`: how it works, with a second client, and what is refused. All are\nplayed whole, byte by byte, and under UIDONLY as far as that is legal.\n\n| capability | RFC | file | dialogues |\n|---|--:|---|---|\n" + strings.Join(rows, ""), nil
}

var rowRE = regexp.MustCompile(`(?m)^\| \[(\d+)\]`)
