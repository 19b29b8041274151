package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

func TestState(t *testing.T) { check(t, state) }

// state refuses init functions and package variables that change after start:
// assigned in a function, or of a type that is there to be changed.
func state(tr *tree) []string {
	var out []string
	for _, files := range tr.packages() {
		vars := map[string]bool{} // the package's variables, outside of tests
		for _, f := range files {
			if !f.test {
				out = append(out, packageVars(tr, f, vars)...)
			}
		}
		for _, f := range files {
			w := writes{tr: tr, f: f, vars: vars}
			for _, d := range f.ast.Decls {
				fd, ok := d.(*ast.FuncDecl)
				if !ok || fd.Body == nil {
					continue
				}
				if fd.Name.Name == "init" && fd.Recv == nil {
					w.out = append(w.out, tr.at(f, d.Pos())+": no init functions: make values where they are declared, pass the rest in")
				}
				w.local = locals(fd)
				ast.Inspect(fd.Body, w.visit)
			}
			out = append(out, w.out...)
		}
	}
	return out
}

// changing types make no sense as package variables but as shared state.
var changing = []string{"sync.Mutex", "sync.RWMutex", "sync.Map", "sync.WaitGroup", "atomic."}

// packageVars adds the names of f's variables to vars and refuses those of
// changing types.
func packageVars(tr *tree, f *source, vars map[string]bool) []string {
	var out []string
	for _, d := range f.ast.Decls {
		gd, ok := d.(*ast.GenDecl)
		if !ok || gd.Tok != token.VAR {
			continue
		}
		for _, s := range gd.Specs {
			vs := s.(*ast.ValueSpec)
			for _, id := range vs.Names {
				if id.Name != "_" {
					vars[id.Name] = true
				}
			}
			for _, c := range changing {
				if strings.HasPrefix(typeName(vs), c) {
					out = append(out, fmt.Sprintf("%s: %s is a package variable that changes: put it in the struct that owns it", tr.at(f, s.Pos()), vs.Names[0].Name))
				}
			}
		}
	}
	return out
}

// typeName spells the package and name of a variable's type, if it says it.
func typeName(vs *ast.ValueSpec) string {
	t := vs.Type
	if t == nil && len(vs.Values) > 0 {
		if cl, ok := vs.Values[0].(*ast.CompositeLit); ok {
			t = cl.Type
		}
	}
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.SelectorExpr:
			return fmt.Sprint(x.X) + "." + x.Sel.Name
		default:
			return ""
		}
	}
}

// writes finds assignments to package variables.
type writes struct {
	tr    *tree
	f     *source
	vars  map[string]bool // the package's
	local map[string]bool // the function's
	out   []string
}

func (w *writes) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, x := range n.Lhs {
				w.target(x)
			}
		}
	case *ast.IncDecStmt:
		w.target(n.X)
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			w.target(n.Key)
			w.target(n.Value)
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
			w.target(n.Args[0])
		}
	}
	return true
}

// target reports x if it is, or is part of, a package variable.
func (w *writes) target(x ast.Expr) {
	for {
		switch y := x.(type) {
		case *ast.ParenExpr:
			x = y.X
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.SelectorExpr:
			x = y.X
		case *ast.Ident:
			if w.vars[y.Name] && !w.local[y.Name] {
				w.out = append(w.out, fmt.Sprintf("%s: %s is a package variable and is written after start: make it a field or a parameter", w.tr.at(w.f, y.Pos()), y.Name))
			}
			return
		default:
			return
		}
	}
}

// locals lists the names that a function declares anywhere within; a package
// variable of such a name is not looked at there.
func locals(fd *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	fields := func(l *ast.FieldList) {
		if l != nil {
			for _, f := range l.List {
				for _, id := range f.Names {
					names[id.Name] = true
				}
			}
		}
	}
	define := func(tok token.Token, xs ...ast.Expr) {
		for _, x := range xs {
			if id, ok := x.(*ast.Ident); ok && tok == token.DEFINE {
				names[id.Name] = true
			}
		}
	}
	fields(fd.Recv)
	ast.Inspect(fd, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType:
			fields(n.Params)
			fields(n.Results)
		case *ast.AssignStmt:
			define(n.Tok, n.Lhs...)
		case *ast.RangeStmt:
			define(n.Tok, n.Key, n.Value)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		}
		return true
	})
	return names
}

func TestStateRules(t *testing.T) {
	for text, want := range map[string]string{
		"func init() {}\n":                                                 "no init functions",
		"func (t T) init() {}\n":                                           "",
		"var x int\nfunc f() { x = 1 }\n":                                  "x is a package variable and is written",
		"var x int\nfunc f() { x++ }\n":                                    "is written",
		"var x []int\nfunc f() { x[1] = 2 }\n":                             "is written",
		"var x struct{ a int }\nfunc f() { x.a = 2 }\n":                    "is written",
		"var x map[int]int\nfunc f() { delete(x, 1) }\n":                   "is written",
		"var x = 1\nfunc f() { x := 2; x = 3; _ = x }\n":                   "",
		"var x = 1\nfunc f(x int) { x = 3 }\n":                             "",
		"var x = 1\nfunc f() { var y int; y = x; _ = y }\n":                "",
		"var mu sync.Mutex\n":                                              "package variable that changes",
		"var n = atomic.Int64{}\n":                                         "package variable that changes",
		"var p atomic.Pointer[int]\n":                                      "package variable that changes",
		"var p = sync.Pool{New: f}\nvar o = sync.OnceValue(f)\n":           "",
		"type t struct{ n int }\nvar x t\nfunc f() { var y t; y.n = 1 }\n": "",
	} {
		finds(t, state(of(t, map[string]string{"x/a.go": "package x\n" + text})), want)
	}
	finds(t, state(of(t, map[string]string{"x/a.go": "package x\nvar x int\n", "x/b.go": "package x\nfunc f() { x = 1 }\n"})), "b.go:2")
	finds(t, state(of(t, map[string]string{"x/a.go": "package x\nvar x int\n", "x/b_test.go": "package x\nfunc f() { x = 1 }\n"})), "b_test.go:2")
	finds(t, state(of(t, map[string]string{"x/b_test.go": "package x\nvar x int\nfunc f() { x = 1 }\n"})), "")
}
