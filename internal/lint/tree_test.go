package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "posthouse"

// A source is one Go file.
type source struct {
	path string // from the root, with slashes
	dir  string // its package's directory, "." for the root
	test bool   // _test.go
	text []byte
	ast  *ast.File
}

// A tree is all that the rules look at.
type tree struct {
	fset  *token.FileSet
	files []*source
	texts map[string]string // *.md, transcripts, Makefile, exceptions.txt: by path
	goMod string
	has   func(path string) bool // whether a file or directory of that path exists
}

// at spells a position for a message.
func (tr *tree) at(f *source, p token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, tr.fset.Position(p).Line)
}

// lines counts the lines from p to q, both included.
func (tr *tree) lines(p, q token.Pos) int {
	return tr.fset.Position(q).Line - tr.fset.Position(p).Line + 1
}

func (tr *tree) add(name string, text []byte) error {
	if !strings.HasSuffix(name, ".go") {
		tr.texts[name] = string(text)
		return nil
	}
	f, err := parser.ParseFile(tr.fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	tr.files = append(tr.files, &source{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), text: text, ast: f})
	return nil
}

// goPackage is the files of one directory, tests of package x_test included.
func (tr *tree) packages() map[string][]*source {
	m := map[string][]*source{}
	for _, f := range tr.files {
		m[f.dir] = append(m[f.dir], f)
	}
	return m
}

func newTree() *tree {
	return &tree{fset: token.NewFileSet(), texts: map[string]string{}, has: func(string) bool { return false }}
}

// of makes a tree of a few files, for the tests of the rules themselves.
func of(t *testing.T, files map[string]string) *tree {
	t.Helper()
	tr := newTree()
	tr.goMod = "module posthouse\nrequire (\n\texample.org/b v1.0.0\n\texample.org/test v1.0.0\n)\n"
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := tr.add(name, []byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	tr.has = func(p string) bool {
		_, ok := files[p]
		return ok || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, p+"/") })
	}
	return tr
}

func root() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}

// The repository, read once.
var theTree = sync.OnceValues(func() (*tree, error) {
	tr, dir := newTree(), root()
	tr.has = func(p string) bool {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(p)))
		return err == nil
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	tr.goMod = string(mod)
	return tr, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if skipped(rel, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !looksAt(rel) {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return tr.add(rel, text)
	})
})

// skipped reports directories that hold nothing of ours.
func skipped(rel, name string) bool {
	return rel != "." && (name[0] == '.' && name != ".ci" || name == "node_modules" || name == "vendor" || rel == "bin")
}

func looksAt(rel string) bool {
	dir := "/" + path.Dir(rel) + "/"
	switch ext := path.Ext(rel); {
	case strings.Contains(dir, "/testdata/"):
		return ext == ".txt"
	case rel == "deps.go": // pins modules, imports nothing in a build
		return false
	case ext == ".go", ext == ".md", rel == "Makefile", rel == exceptionsFile:
		return true
	}
	return false
}

// check runs one rule on the repository.
func check(t *testing.T, rule func(*tree) []string) {
	t.Helper()
	t.Parallel()
	tr, err := theTree()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rule(tr) {
		t.Error(p)
	}
}

// finds fails unless the rule says exactly one thing that contains want, or
// nothing if want is "".
func finds(t *testing.T, problems []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(problems) > 0:
		t.Errorf("found %q, want nothing", problems)
	case want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)):
		t.Errorf("found %q, want one problem with %q", problems, want)
	}
}
