// Package authres writes and reads Authentication-Results fields, RFC 8601: what a
// receiving server found out about who sent a message.
//
// Whatever strangers chose is quoted, so that it can neither end a clause nor begin
// a field. Reading is bounded and strict: what does not follow the grammar is an
// error, and is to be trusted in nothing.
package authres

import (
	"errors"
	"strings"
)

// A Clause is the outcome of one method, RFC 8601 §2.2.
type Clause struct {
	Method, Result string // "spf", "pass"
	Reason         string // "" if there is nothing to say
	Props          []Prop
	Comment        string // shown in parentheses; never read back
}

// A Prop is a property that was looked at: "smtp.mailfrom=a@example.org".
type Prop struct{ Type, Name, Value string }

// AppendTo appends the clause without the ";" before it.
func (c Clause) AppendTo(dst []byte) []byte {
	dst = append(append(append(dst, c.Method...), '='), c.Result...)
	if c.Comment != "" {
		dst = appendComment(append(dst, ' '), c.Comment)
	}
	if c.Reason != "" {
		dst = appendQuoted(append(dst, " reason="...), c.Reason)
	}
	for _, p := range c.Props {
		if p.Value == "" {
			continue
		}
		dst = append(append(append(append(append(dst, ' '), p.Type...), '.'), p.Name...), '=')
		dst = appendValue(dst, p.Value)
	}
	return dst
}

func (c Clause) String() string { return string(c.AppendTo(nil)) }

// appendValue appends v as it is if it is a token or an address of tokens.
func appendValue(dst []byte, v string) []byte {
	v = v[:min(len(v), maxValue)]
	local, domain, at := strings.Cut(v, "@")
	if at && (local == "" || isToken(local)) && isToken(domain) || !at && isToken(v) {
		return append(dst, v...)
	}
	return appendQuoted(dst, v)
}

// maxValue bounds what a stranger can make us write.
const maxValue = 320

func appendQuoted(dst []byte, v string) []byte {
	dst = append(dst, '"')
	for i := range min(len(v), maxValue) {
		switch c := v[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendComment(dst []byte, v string) []byte {
	dst = append(dst, '(')
	for i := range min(len(v), maxValue) {
		switch c := v[i]; {
		case c == '(' || c == ')' || c == '\\' || c < ' ' || c == 0x7f:
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, ')')
}

// isToken reports a token of RFC 2045 §5.1, in ASCII.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?=", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// Results is a whole field.
type Results struct {
	Server  string // the authserv-id: who says so
	Clauses []Clause
}

var (
	errSyntax = errors.New("authres: malformed")
	errMany   = errors.New("authres: too many clauses")
)

// Limits of what is read.
const (
	maxClauses = 100
	maxProps   = 50
)

// Server reads the authserv-id of a field's value, lower case.
func Server(value []byte) (string, error) {
	l := lexer{b: value}
	id, ok := l.value()
	if !ok {
		return "", errSyntax
	}
	return strings.ToLower(strings.TrimSuffix(id, ".")), nil
}

// Parse reads the value of a field.
func Parse(value []byte) (Results, error) {
	var r Results
	l := lexer{b: value}
	var ok bool
	if r.Server, ok = l.value(); !ok || !l.skip() {
		return r, errSyntax
	}
	r.Server = strings.ToLower(strings.TrimSuffix(r.Server, "."))
	if l.peek() != ';' && l.i < len(l.b) { // authres-version
		if v, ok := l.value(); !ok || v != "1" || !l.skip() {
			return r, errSyntax
		}
	}
	for l.i < len(l.b) {
		if !l.take(';') || !l.skip() {
			return r, errSyntax
		}
		if l.i == len(l.b) { // Quirk: several servers end the field with ";".
			break
		}
		if len(r.Clauses) == maxClauses {
			return r, errMany
		}
		c, none, err := l.clause()
		if err != nil {
			return r, err
		}
		if !none {
			r.Clauses = append(r.Clauses, c)
		}
	}
	return r, nil
}

// Result is the outcome of the first clause of a method, or "".
func (r Results) Result(method string) string {
	for _, c := range r.Clauses {
		if c.Method == method {
			return c.Result
		}
	}
	return ""
}
