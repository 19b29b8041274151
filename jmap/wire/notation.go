package wire

import (
	"fmt"
	"strings"
	"time"
)

// A Type is a type in the notation of RFC 8620 §1.1: "String", "Id[]",
// "Id[Boolean]", "EmailAddress[]|null". "Any" is any value but null.
type Type struct {
	name   string // of a scalar or struct; "" for the others
	list   *Type
	key    *Type // of a map
	value  *Type
	alts   []*Type
	object *Struct
}

// A Struct is a type with named members.
type Struct struct {
	Name    string
	Members []Field
	Open    bool // it may have other members too
}

// A Field of a Struct: those whose name ends in "?" may be missing.
type Field struct {
	Name, Type string
}

// Structs are the named types that a notation may use.
type Structs map[string]*Struct

// CompileType reads a notation. It panics on one that is wrong: notations stand in
// tables of the program.
func CompileType(notation string, structs Structs) *Type {
	c := &compiler{structs: structs, done: map[string]*Type{}}
	return c.compile(notation)
}

type compiler struct {
	structs Structs
	done    map[string]*Type
}

func (c *compiler) compile(s string) *Type {
	if t := c.done[s]; t != nil {
		return t
	}
	t := new(Type)
	c.done[s] = t
	switch alts := splitAlternatives(s); {
	case len(alts) > 1:
		for _, a := range alts {
			t.alts = append(t.alts, c.compile(a))
		}
	case strings.HasSuffix(s, "[]"):
		t.list = c.compile(s[:len(s)-2])
	case strings.HasSuffix(s, "]"):
		open := matching(s)
		t.key, t.value = c.compile(s[:open]), c.compile(s[open+1:len(s)-1])
	default:
		t.name = s
		if scalars[s] == nil {
			if t.object = c.structs[s]; t.object == nil {
				panic("jmap/wire: unknown type " + s)
			}
			for _, f := range t.object.Members {
				c.compile(f.Type)
			}
		}
	}
	if t.object != nil {
		t.value = nil
		t.bind(c)
	}
	return t
}

// bind keeps the compiled types of a struct's members where check finds them.
func (t *Type) bind(c *compiler) {
	for _, f := range t.object.Members {
		t.alts = append(t.alts, c.compile(f.Type))
	}
}

// splitAlternatives splits at "|" outside of brackets.
func splitAlternatives(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	return append(out, s[start:])
}

// matching returns the bracket that the last one closes.
func matching(s string) int {
	depth := 0
	for i := len(s) - 1; i >= 0; i-- {
		switch s[i] {
		case ']':
			depth++
		case '[':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("jmap/wire: unbalanced type " + s)
}

// scalars are the types of RFC 8620 §1.2 to §1.4 and what they accept.
var scalars = map[string]func(v any) bool{
	"Id":          func(v any) bool { s, ok := v.(string); return ok && isID(s) },
	"String":      func(v any) bool { _, ok := v.(string); return ok },
	"Boolean":     func(v any) bool { _, ok := v.(bool); return ok },
	"Int":         func(v any) bool { _, ok := v.(int64); return ok },
	"UnsignedInt": func(v any) bool { n, ok := v.(int64); return ok && n >= 0 },
	"Number": func(v any) bool {
		switch v.(type) {
		case int64, float64:
			return true
		}
		return false
	},
	"UTCDate": func(v any) bool { s, ok := v.(string); return ok && strings.HasSuffix(s, "Z") && isDate(s) },
	"Date":    func(v any) bool { s, ok := v.(string); return ok && isDate(s) },
	"Any":     func(v any) bool { return v != nil },
	"null":    func(v any) bool { return v == nil },
}

func isDate(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil && strings.IndexByte(s, ',') < 0
}

// isID checks RFC 8620 §1.2, or a reference to a creation: "#" and its id.
func isID(s string) bool {
	s = strings.TrimPrefix(s, "#")
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Valid reports whether v, as Parse returned it, is of type t.
func (t *Type) Valid(v any) bool {
	switch {
	case t.object != nil:
		return t.validObject(v)
	case t.name != "":
		return scalars[t.name](v)
	case t.list != nil:
		list, ok := v.([]any)
		for _, e := range list {
			ok = ok && t.list.Valid(e)
		}
		return ok
	case t.key != nil:
		m, ok := v.(map[string]any)
		for k, e := range m {
			ok = ok && t.key.Valid(k) && t.value.Valid(e)
		}
		return ok
	}
	for _, a := range t.alts {
		if a.Valid(v) {
			return true
		}
	}
	return false
}

func (t *Type) validObject(v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return false
	}
	known := 0
	for i, f := range t.object.Members {
		name, optional := strings.CutSuffix(f.Name, "?")
		e, there := m[name]
		if !there && !optional || there && !t.alts[i].Valid(e) {
			return false
		}
		if there {
			known++
		}
	}
	return t.object.Open || known == len(m)
}

// Nullable reports whether null is of type t.
func (t *Type) Nullable() bool { return t.Valid(nil) }

// names are the types of TypeScript for the scalars.
var names = map[string]string{"Id": "Id", "String": "string", "Boolean": "boolean", "Int": "number", "UnsignedInt": "number",
	"Number": "number", "UTCDate": "UTCDate", "Date": "string", "Any": "unknown", "null": "null"}

// TypeScript spells a notation as a type of TypeScript.
func TypeScript(notation string) string {
	alts := splitAlternatives(notation)
	for i, s := range alts {
		switch {
		case strings.HasSuffix(s, "[]"):
			inner := TypeScript(s[:len(s)-2])
			if strings.ContainsAny(inner, " |") {
				inner = "(" + inner + ")"
			}
			alts[i] = inner + "[]"
		case strings.HasSuffix(s, "]"):
			open := matching(s)
			alts[i] = fmt.Sprintf("Record<%s, %s>", TypeScript(s[:open]), TypeScript(s[open+1:len(s)-1]))
		case names[s] != "":
			alts[i] = names[s]
		}
	}
	return strings.Join(alts, " | ")
}
