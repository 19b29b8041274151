package wire

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Object is a JSON object whose members are written in their order.
type Object []Member

// A Member of an Object.
type Member struct {
	Name  string
	Value any
}

// With returns o with one more member.
func (o Object) With(name string, value any) Object { return append(o, Member{name, value}) }

// Member returns the value of a member, and whether there is one.
func (o Object) Member(name string) (any, bool) {
	for _, m := range o {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// Raw is JSON that is written as it is.
type Raw []byte

// Append appends v as JSON: what Parse returns, and Object, Raw, []Object, []string,
// map[string]bool, map[string]string, int, uint32, uint64. Anything else is a bug
// that is written as null.
func Append(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return AppendString(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint32:
		return strconv.AppendUint(dst, uint64(v), 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		return appendFloat(dst, v)
	case Raw:
		return append(dst, v...)
	case Object:
		return appendObject(dst, v)
	case []Object:
		return appendList(dst, v, appendObject)
	case []string:
		return appendList(dst, v, AppendString)
	case []any:
		return appendList(dst, v, Append)
	case map[string]any:
		return appendMap(dst, v, Append)
	case map[string]bool:
		return appendMap(dst, v, strconv.AppendBool)
	case map[string]string:
		return appendMap(dst, v, AppendString)
	}
	return append(dst, "null"...)
}

func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, '0')
	}
	b, err := json.Marshal(f)
	if err != nil {
		return append(dst, '0')
	}
	return append(dst, b...)
}

func appendObject(dst []byte, o Object) []byte {
	if o == nil {
		return append(dst, "{}"...)
	}
	dst = append(dst, '{')
	for i, m := range o {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, m.Name), ':')
		dst = Append(dst, m.Value)
	}
	return append(dst, '}')
}

func appendList[T any](dst []byte, list []T, f func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = f(dst, v)
	}
	return append(dst, ']')
}

func appendMap[T any](dst []byte, m map[string]T, f func([]byte, T) []byte) []byte {
	dst = append(dst, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, k), ':')
		dst = f(dst, m[k])
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string; bytes that are no UTF-8 become U+FFFD. The
// result is safe inside of a script element.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c != '<' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(s[i:]); (r != utf8.RuneError || n > 1) && r != '\u2028' && r != '\u2029' {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r < 0x80:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		case r == utf8.RuneError:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, '\\', 'u', '2', '0', '2', hexDigits[r&15])
		}
		i += n
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// Plain turns what Append takes into what Parse returns.
func Plain(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return int64(v)
	case Raw:
		if p, err := Parse(v, Limits{}); err == nil {
			return p
		}
		return nil
	case Object:
		m := make(map[string]any, len(v))
		for _, e := range v {
			m[e.Name] = Plain(e.Value)
		}
		return m
	case []Object:
		return plainList(v)
	case []string:
		return plainList(v)
	case []any:
		return plainList(v)
	case map[string]any:
		return plainMap(v)
	case map[string]bool:
		return plainMap(v)
	case map[string]string:
		return plainMap(v)
	}
	return v
}

func plainList[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = Plain(v)
	}
	return out
}

func plainMap[T any](m map[string]T) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = Plain(v)
	}
	return out
}
