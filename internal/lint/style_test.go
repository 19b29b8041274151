package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFormat(t *testing.T)       { check(t, gofmt) }
func TestPackageNames(t *testing.T) { check(t, packageNames) }
func TestNames(t *testing.T)        { check(t, names) }
func TestDocComments(t *testing.T)  { check(t, docComments) }
func TestContextFirst(t *testing.T) { check(t, contextFirst) }

func gofmt(tr *tree) []string {
	var out []string
	for _, f := range tr.files {
		if text, err := format.Source(f.text); err != nil || !bytes.Equal(text, f.text) {
			out = append(out, f.path+": not formatted: run gofmt -w "+f.path)
		}
	}
	return out
}

// vagueNames say nothing of what a package holds.
var vagueNames = []string{"util", "utils", "helper", "helpers", "common", "base", "consts", "constants", "types", "misc", "shared", "lib"}

func packageNames(tr *tree) []string {
	var out []string
	for dir, files := range tr.packages() {
		last := path.Base(dir)
		if slices.Contains(vagueNames, last) {
			out = append(out, fmt.Sprintf("%s: a package is named for what it holds, not %q", dir, last))
		}
		for _, f := range files {
			name := strings.TrimSuffix(f.ast.Name.Name, "_test")
			if dir != "." && name != "main" && name != last {
				out = append(out, fmt.Sprintf("%s: package %s lies in a directory named %s", f.path, name, last))
			}
		}
		if documented := slices.ContainsFunc(files, func(f *source) bool { return f.ast.Doc != nil }); !documented && dir != "." {
			out = append(out, fmt.Sprintf("%s: no package comment: say its purpose, its guarantees and who owns what", dir))
		}
	}
	return out
}

var getRE = regexp.MustCompile(`^[Gg]et[A-Z]`)

// names refuses words that the field does not use.
func names(tr *tree) []string {
	var out []string
	for _, f := range tr.files {
		for _, d := range f.ast.Decls {
			fd, ok := d.(*ast.FuncDecl)
			if ok && getRE.MatchString(fd.Name.Name) {
				out = append(out, fmt.Sprintf("%s: %s: no Get prefix: name it for what it gives", tr.at(f, d.Pos()), fd.Name.Name))
			}
			if f.test || f.dir == "message" { // which folds header lines
				continue
			}
			for _, id := range declared(d) {
				if strings.Contains(strings.ToLower(id.Name), "folder") {
					out = append(out, fmt.Sprintf("%s: %s: the word is mailbox, never folder", tr.at(f, id.Pos()), id.Name))
				}
			}
		}
	}
	return out
}

// declared lists the names that a top-level declaration brings, with fields.
func declared(d ast.Decl) []*ast.Ident {
	var ids []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		ids = append(ids, d.Name)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				ids = append(ids, s.Names...)
			case *ast.TypeSpec:
				ids = append(ids, s.Name)
				if st, ok := s.Type.(*ast.StructType); ok {
					for _, fl := range st.Fields.List {
						ids = append(ids, fl.Names...)
					}
				}
			}
		}
	}
	return ids
}

// wellKnown methods mean what their interface says.
var wellKnown = []string{"String", "Error", "Unwrap", "Is", "As", "Read", "Write", "ReadAt", "WriteAt", "Close", "Len", "Less", "Swap",
	"ReadByte", "WriteByte", "WriteTo", "ReadFrom", "Seek", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON",
	"Format", "GoString", "LogValue", "Temporary", "Timeout", "Describe", "Collect", "ServeHTTP", "Lock", "Unlock"}

// docComments wants one on each exported name; a name that follows a documented
// one without an empty line shares its comment, and so do groups.
func docComments(tr *tree) []string {
	var out []string
	for _, f := range tr.files {
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		sharedEnd := -1 // the line on which the last documented declaration ended
		for _, d := range f.ast.Decls {
			start, end := tr.fset.Position(d.Pos()).Line, tr.fset.Position(d.End()).Line
			name, doc := undocumented(d)
			if doc || name != "" && start == sharedEnd+1 {
				sharedEnd = end
				continue
			}
			if name != "" {
				out = append(out, fmt.Sprintf("%s: exported %s has no doc comment", tr.at(f, d.Pos()), name))
			}
		}
	}
	return out
}

// undocumented gives the first exported name of d that has no comment of its own
// or its group's, and whether d itself has one.
func undocumented(d ast.Decl) (name string, doc bool) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc != nil {
			return "", true
		}
		hidden := d.Recv != nil && !ast.IsExported(receiver(d))
		if d.Name.IsExported() && !hidden && !(d.Recv != nil && slices.Contains(wellKnown, d.Name.Name)) {
			return d.Name.Name, false
		}
	case *ast.GenDecl:
		if d.Doc != nil || d.Tok == token.IMPORT {
			return "", d.Doc != nil
		}
		typed := false // a group of constants of a named type says what it is
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
					return s.Name.Name, false
				}
			case *ast.ValueSpec:
				typed = typed || d.Tok == token.CONST && s.Type != nil
				if s.Names[0].IsExported() && s.Doc == nil && s.Comment == nil && !typed {
					return s.Names[0].Name, false
				}
			}
		}
	}
	return "", false
}

func contextFirst(tr *tree) []string {
	var out []string
	for _, f := range tr.files {
		if f.test || isKit(f.dir) || in(f.dir, outside) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			ft, ok := n.(*ast.FuncType)
			if !ok {
				return true
			}
			for i, p := range ft.Params.List {
				if sel, ok := p.Type.(*ast.SelectorExpr); ok && i > 0 && sel.Sel.Name == "Context" && fmt.Sprint(sel.X) == "context" {
					out = append(out, tr.at(f, p.Pos())+": a context is the first parameter")
				}
			}
			return true
		})
	}
	return out
}

func TestStyleRules(t *testing.T) {
	one := func(text string) *tree {
		return of(t, map[string]string{"x/a.go": "// Package x is.\npackage x\n\n" + text})
	}
	finds(t, gofmt(one("var a = 1\n")), "")
	finds(t, gofmt(one("var a=1\n")), "gofmt -w x/a.go")
	finds(t, packageNames(one("")), "")
	finds(t, packageNames(of(t, map[string]string{"y/a.go": "// Package x is.\npackage x\n"})), "named y")
	finds(t, packageNames(of(t, map[string]string{"util/a.go": "// Package util is.\npackage util\n"})), "for what it holds")
	finds(t, packageNames(of(t, map[string]string{"x/a.go": "package x\n"})), "no package comment")
	finds(t, names(one("func GetX() {}\n")), "no Get prefix")
	finds(t, names(one("func Get() {}\nfunc Getter() {}\n")), "")
	finds(t, names(one("type T struct{ subFolders int }\n")), "never folder")
	finds(t, contextFirst(one("func f(a int, ctx context.Context) {}\n")), "first parameter")
	finds(t, contextFirst(one("func f(ctx context.Context, a int) {}\n")), "")
	for text, want := range map[string]string{
		"func F() {}\n":                                                 "exported F has no doc comment",
		"// F does.\nfunc F() {}\nfunc G() {}\n":                        "",
		"// F does.\nfunc F() {}\n\nfunc G() {}\n":                      "exported G",
		"func (t T) F() {}\n":                                           "exported F",
		"func (t *t) F() {}\nfunc (t T) String() string { return 1 }\n": "",
		"type T int\n":                                                  "exported T",
		"// A T is.\ntype T int\n\nconst (\n\tA T = 1\n\tB\n)\n":        "",
		"const A = 1 // why\n":                                          "",
		"const A = 1\n":                                                 "exported A",
	} {
		finds(t, docComments(one(text)), want)
	}
}
