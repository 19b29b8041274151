package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The limits. What is aimed at is about half: functions of 40 lines, files of
// 60 to 350.
const (
	maxFunc        = 80
	maxFlat        = 120 // a function that is mostly one flat table or switch; a test
	maxParams      = 6
	maxBools       = 1
	maxFile        = 500
	maxTestFile    = 800
	flatShare      = 0.6 // of a flat function's lines belong to its table or switch
	flatCase       = 10  // lines of one case of a flat switch
	exceptionsFile = "internal/lint/exceptions.txt"
)

func TestSizes(t *testing.T) { check(t, sizes) }

// A size is one thing that was measured: "func", "params", "bools" of a function
// or "file".
type size struct {
	what, name string
	at         string
	n, limit   int
}

func sizes(tr *tree) []string {
	allowed, out := exceptions(tr.texts[exceptionsFile])
	used := map[string]bool{}
	for _, s := range measure(tr) {
		key := s.what + " " + s.name
		allow, excepted := allowed[key]
		used[key] = used[key] || excepted
		switch {
		case excepted && s.n <= s.limit:
			out = append(out, fmt.Sprintf("%s: %q is within the limit now: remove its line", exceptionsFile, key))
		case excepted && s.n < allow:
			out = append(out, fmt.Sprintf("%s: %q has shrunk: lower its line from %d to %d", exceptionsFile, key, allow, s.n))
		case excepted && s.n == allow, s.n <= s.limit:
		case excepted:
			out = append(out, fmt.Sprintf("%s: %s %s has grown from %d to %d (limit %d): an exception may only shrink", s.at, s.what, s.name, allow, s.n, s.limit))
		default:
			out = append(out, fmt.Sprintf("%s: %s: %s %d, the limit is %d: %s", s.at, s.name, sizeWords[s.what], s.n, s.limit, sizeAdvice[s.what]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(allowed)) {
		if !used[key] {
			out = append(out, fmt.Sprintf("%s: %q is there no more: remove its line", exceptionsFile, key))
		}
	}
	return out
}

var sizeWords = map[string]string{"func": "lines", "params": "parameters", "bools": "bool parameters", "file": "lines"}

var sizeAdvice = map[string]string{
	"func":   "cut it into steps that have names",
	"params": "group what belongs together in a struct",
	"bools":  "make two functions, or an option type",
	"file":   "give a part of it a file of its own",
}

// exceptions reads lines "what name size".
func exceptions(text string) (map[string]int, []string) {
	allowed, bad := map[string]int{}, []string(nil)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		n, err := strconv.Atoi(line[i+1:])
		if i < 0 || err != nil {
			bad = append(bad, fmt.Sprintf("%s: not \"what name size\": %s", exceptionsFile, line))
			continue
		}
		allowed[line[:i]] = n
	}
	return allowed, bad
}

func measure(tr *tree) []size {
	var out []size
	for _, f := range tr.files {
		if ast.IsGenerated(f.ast) {
			continue
		}
		limit := maxFile
		if f.test {
			limit = maxTestFile
		}
		out = append(out, size{"file", f.path, f.path, bytes.Count(f.text, []byte("\n")), limit})
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				out = append(out, measureFunc(tr, f, d)...)
			case *ast.GenDecl:
				out = append(out, measureInterfaces(tr, f, d)...)
			}
		}
	}
	return out
}

func measureFunc(tr *tree, f *source, d *ast.FuncDecl) []size {
	name, at := f.dir+"."+funcName(d), tr.at(f, d.Pos())
	limit := maxFunc
	if f.test || flat(tr, d) {
		limit = maxFlat
	}
	return append([]size{{"func", name, at, tr.lines(d.Pos(), d.End()), limit}}, measureParams(name, at, d.Type)...)
}

func measureParams(name, at string, ft *ast.FuncType) []size {
	n, bools := 0, 0
	for _, p := range ft.Params.List {
		k := max(1, len(p.Names))
		n += k
		if id, ok := p.Type.(*ast.Ident); ok && id.Name == "bool" {
			bools += k
		}
	}
	return []size{{"params", name, at, n, maxParams}, {"bools", name, at, bools, maxBools}}
}

func measureInterfaces(tr *tree, f *source, d *ast.GenDecl) []size {
	var out []size
	if d.Tok != token.TYPE {
		return nil
	}
	for _, s := range d.Specs {
		ts := s.(*ast.TypeSpec)
		it, ok := ts.Type.(*ast.InterfaceType)
		if !ok {
			continue
		}
		for _, m := range it.Methods.List {
			if ft, ok := m.Type.(*ast.FuncType); ok && len(m.Names) == 1 {
				out = append(out, measureParams(f.dir+"."+ts.Name.Name+"."+m.Names[0].Name, tr.at(f, m.Pos()), ft)...)
			}
		}
	}
	return out
}

// funcName is "Name" or "Type.Name".
func funcName(d *ast.FuncDecl) string {
	if r := receiver(d); r != "" {
		return r + "." + d.Name.Name
	}
	return d.Name.Name
}

// receiver is the name of a method's type, or "".
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// flat reports whether most of a function is one table, or one switch whose
// cases are short.
func flat(tr *tree, d *ast.FuncDecl) bool {
	if d.Body == nil {
		return false
	}
	whole, best := tr.lines(d.Pos(), d.End()), 0
	ast.Inspect(d.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			best = max(best, tr.lines(n.Pos(), n.End()))
			return false
		case *ast.SwitchStmt:
			if shortCases(tr, n.Body) {
				best = max(best, tr.lines(n.Pos(), n.End()))
			}
		case *ast.TypeSwitchStmt:
			if shortCases(tr, n.Body) {
				best = max(best, tr.lines(n.Pos(), n.End()))
			}
		}
		return true
	})
	return float64(best) >= flatShare*float64(whole)
}

func shortCases(tr *tree, b *ast.BlockStmt) bool {
	for _, s := range b.List {
		if tr.lines(s.Pos(), s.End()) > flatCase {
			return false
		}
	}
	return true
}

func TestSizesRules(t *testing.T) {
	long := func(n int) string { return "package x\nfunc (t *T) f() {\n" + strings.Repeat("\tg()\n", n-2) + "}\n" }
	table := "package x\nfunc f() {\n\tg([]int{\n" + strings.Repeat("\t\t1,\n", 100) + "\t})\n}\n"
	cases := "package x\nfunc f(x int) {\n\tswitch x {\n" + strings.Repeat("\tcase 1:\n\t\tg()\n", 45) + "\t}\n}\n"
	for _, c := range []struct{ file, text, except, want string }{
		{"x/a.go", long(80), "", ""},
		{"x/a.go", long(81), "", "x.T.f: lines 81, the limit is 80"},
		{"x/a.go", long(81), "func x.T.f 81", ""},
		{"x/a.go", long(82), "func x.T.f 81", "has grown from 81 to 82"},
		{"x/a.go", long(81), "func x.T.f 90", "lower its line from 90 to 81"},
		{"x/a.go", long(80), "func x.T.f 90", "remove its line"},
		{"x/a.go", "package x\n", "func x.T.f 90", "is there no more"},
		{"x/a.go", "package x\n", "what", "not \"what name size\""},
		{"x/a.go", table, "", ""},
		{"x/a.go", cases, "", ""},
		{"x/a_test.go", long(120), "", ""},
		{"x/a.go", "package x\nfunc f(a, b, c, d int, e, g string) {}\n", "", ""},
		{"x/a.go", "package x\nfunc f(a, b, c, d int, e, g string, h any) {}\n", "", "parameters 7"},
		{"x/a.go", "package x\nfunc f(a, b bool) {}\n", "", "bool parameters 2"},
		{"x/a.go", "package x\ntype I interface{ F(a, b bool) }\n", "", "x.I.F: bool parameters 2"},
		{"x/a.go", "package x\n" + strings.Repeat("\n", 500), "", "x/a.go: lines 501"},
		{"x/a_test.go", "package x\n" + strings.Repeat("\n", 700), "", ""},
		{"x/a.go", "// Code generated by x. DO NOT EDIT.\n\npackage x\n" + strings.Repeat("\n", 500), "", ""},
	} {
		finds(t, sizes(of(t, map[string]string{c.file: c.text, exceptionsFile: c.except})), c.want)
	}
}
