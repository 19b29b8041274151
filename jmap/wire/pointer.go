package wire

import (
	"strconv"
	"strings"
)

// maxPointed bounds what a pointer with "*" may collect: pointers into what other
// pointers gave must not grow without end.
const maxPointed = 100_000

// Pointer evaluates a JSON pointer (RFC 6901) in v, in which "*" stands for all
// elements of an array, whose results are joined where they are arrays (RFC 8620
// §3.7). ok is false if the path leads nowhere.
func Pointer(v any, path string) (result any, ok bool) {
	if path == "" {
		return Plain(v), true
	}
	if path[0] != '/' {
		return nil, false
	}
	return point(Plain(v), strings.Split(path[1:], "/"))
}

func point(v any, tokens []string) (any, bool) {
	for i, t := range tokens {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[Unescape(t)]; !ok {
				return nil, false
			}
		case []any:
			if t == "*" {
				return pointAll(x, tokens[i+1:])
			}
			n, err := strconv.Atoi(t)
			if err != nil || n < 0 || n >= len(x) || t != strconv.Itoa(n) {
				return nil, false
			}
			v = x[n]
		default:
			return nil, false
		}
	}
	return v, true
}

func pointAll(list []any, rest []string) (any, bool) {
	out := []any{}
	for _, e := range list {
		r, ok := point(e, rest)
		if !ok {
			return nil, false
		}
		if many, isList := r.([]any); isList {
			out = append(out, many...)
		} else {
			out = append(out, r)
		}
		if len(out) > maxPointed {
			return nil, false
		}
	}
	return out, true
}

// Unescape undoes the escaping of one token of a pointer, RFC 6901 §4.
func Unescape(t string) string {
	if strings.IndexByte(t, '~') < 0 {
		return t
	}
	return strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
}

// Escape makes a token of a pointer.
func Escape(t string) string {
	return strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1")
}
