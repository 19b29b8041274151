package message

import (
	"fmt"
	"strconv"
	"strings"
)

// A strict reader of the IMAP grammar of RFC 3501 §9, to judge what we write: an
// element is nil (NIL), an imapString, an int64 or a []any.
type imapString string

type imapReader struct {
	s     string
	err   error
	loose bool // 8-bit bytes may stand in quotes
}

func readIMAP(s string) (any, error) {
	r := imapReader{s: s}
	v := r.value(0)
	if r.err == nil && r.s != "" {
		r.fail("trailing bytes")
	}
	return v, r.err
}

func (r *imapReader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s at %.60q", why, r.s)
	}
	r.s = ""
}

func (r *imapReader) value(depth int) any {
	switch {
	case r.s == "" || depth > 1000:
		r.fail("value expected")
	case r.s[0] == '(':
		return r.list(depth)
	case r.s[0] == '"':
		return r.quoted()
	case r.s[0] == '{':
		return r.literal()
	case strings.HasPrefix(r.s, "NIL"):
		r.s = r.s[3:]
	case isDigit(r.s[0]):
		n := 0
		for n < len(r.s) && isDigit(r.s[n]) {
			n++
		}
		v, err := strconv.ParseInt(r.s[:n], 10, 64)
		if err != nil {
			r.fail("bad number")
		}
		r.s = r.s[min(n, len(r.s)):]
		return v
	default:
		r.fail("bad byte")
	}
	return nil
}

// list reads "(" value *(SP value) ")"; only between two lists the space may be
// missing, as bodies and addresses have it. No list is empty.
func (r *imapReader) list(depth int) any {
	var out []any
	r.s = r.s[1:]
	for r.err == nil {
		if n := len(out); n > 0 {
			if strings.HasPrefix(r.s, ")") {
				r.s = r.s[1:]
				return out
			}
			_, wasList := out[n-1].([]any)
			if !(wasList && strings.HasPrefix(r.s, "(")) {
				if !strings.HasPrefix(r.s, " ") {
					r.fail("space expected")
					break
				}
				r.s = r.s[1:]
			}
		}
		out = append(out, r.value(depth+1))
	}
	return out
}

func (r *imapReader) quoted() any {
	var b strings.Builder
	for i := 1; i < len(r.s); i++ {
		c := r.s[i]
		switch {
		case c == '"':
			r.s = r.s[i+1:]
			return imapString(b.String())
		case c == '\\':
			i++
			if i == len(r.s) || r.s[i] != '"' && r.s[i] != '\\' {
				r.fail("bad escape")
				return nil
			}
			b.WriteByte(r.s[i])
		case c == '\r' || c == '\n' || c == 0 || c > 126 && !r.loose:
			r.fail("bad byte in quoted string")
			return nil
		default:
			b.WriteByte(c)
		}
	}
	r.fail("string not closed")
	return nil
}

func (r *imapReader) literal() any {
	head, rest, ok := strings.Cut(r.s, "}\r\n")
	n, err := strconv.Atoi(head[1:])
	if !ok || err != nil || n > len(rest) || n < 0 || strings.IndexByte(rest[:max(0, min(n, len(rest)))], 0) >= 0 {
		r.fail("bad literal")
		return nil
	}
	r.s = rest[n:]
	return imapString(rest[:n])
}

// checkEnvelope checks RFC 3501 §9 (envelope).
func checkEnvelope(v any) error {
	l, ok := v.([]any)
	if !ok || len(l) != 10 {
		return fmt.Errorf("envelope of %d fields", len(l))
	}
	for i, f := range l {
		if i < 2 || i > 7 {
			if !isNString(f) {
				return fmt.Errorf("envelope field %d is no nstring", i)
			}
			continue
		}
		if f == nil {
			continue
		}
		addresses, ok := f.([]any)
		if !ok {
			return fmt.Errorf("envelope field %d is no list", i)
		}
		group := 0
		for _, a := range addresses {
			parts, ok := a.([]any)
			if !ok || len(parts) != 4 {
				return fmt.Errorf("bad address %v", a)
			}
			for _, p := range parts {
				if !isNString(p) {
					return fmt.Errorf("bad address %v", a)
				}
			}
			switch {
			case parts[3] == nil && parts[2] != nil:
				group++
			case parts[3] == nil:
				group--
			}
			if group < 0 || group > 1 {
				return fmt.Errorf("groups do not match: %v", addresses)
			}
		}
		if group != 0 {
			return fmt.Errorf("group not closed: %v", addresses)
		}
	}
	return nil
}

func isNString(v any) bool {
	_, ok := v.(imapString)
	return ok || v == nil
}

// checkBody checks RFC 3501 §9 (body), with or without the extension data.
func checkBody(v any, ext bool) error {
	l, ok := v.([]any)
	if !ok || len(l) < 2 {
		return fmt.Errorf("bad body %v", v)
	}
	if _, multi := l[0].([]any); multi {
		return checkMultipart(l, ext)
	}
	for i, want := range []func(any) bool{isString, isString, isParams, isNString, isNString, isString, isNumber} {
		if i >= len(l) || !want(l[i]) {
			return fmt.Errorf("field %d of %v", i, l)
		}
	}
	rest := l[7:]
	typ, subtype := strings.ToLower(string(l[0].(imapString))), strings.ToLower(string(l[1].(imapString)))
	switch {
	case typ == "text":
		if len(rest) < 1 || !isNumber(rest[0]) {
			return fmt.Errorf("text without lines: %v", l)
		}
		rest = rest[1:]
	case typ == "message" && subtype == "rfc822":
		if len(rest) < 3 || !isNumber(rest[2]) {
			return fmt.Errorf("bad message/rfc822: %v", l)
		}
		if err := checkEnvelope(rest[0]); err != nil {
			return err
		}
		if err := checkBody(rest[1], ext); err != nil {
			return err
		}
		rest = rest[3:]
	}
	if ext {
		if len(rest) == 0 || !isNString(rest[0]) {
			return fmt.Errorf("no md5: %v", l)
		}
		rest = rest[1:]
	}
	return checkExtension(rest, ext)
}

func checkMultipart(l []any, ext bool) error {
	for len(l) > 0 {
		child, ok := l[0].([]any)
		if !ok {
			break
		}
		if err := checkBody(child, ext); err != nil {
			return err
		}
		l = l[1:]
	}
	if len(l) == 0 || !isString(l[0]) {
		return fmt.Errorf("multipart without subtype: %v", l)
	}
	if l = l[1:]; ext {
		if len(l) == 0 || !isParams(l[0]) {
			return fmt.Errorf("multipart without parameters: %v", l)
		}
		l = l[1:]
	}
	return checkExtension(l, ext)
}

func checkExtension(l []any, ext bool) error {
	if !ext {
		if len(l) != 0 {
			return fmt.Errorf("extension data in BODY: %v", l)
		}
		return nil
	}
	if len(l) != 3 || !isNString(l[2]) {
		return fmt.Errorf("bad extension data: %v", l)
	}
	if l[0] != nil {
		if d, ok := l[0].([]any); !ok || len(d) != 2 || !isString(d[0]) || !isParams(d[1]) {
			return fmt.Errorf("bad disposition: %v", l[0])
		}
	}
	if tags, ok := l[1].([]any); ok {
		for _, t := range tags {
			if !isString(t) {
				return fmt.Errorf("bad languages: %v", tags)
			}
		}
	} else if !isNString(l[1]) {
		return fmt.Errorf("bad language: %v", l[1])
	}
	return nil
}

func isString(v any) bool {
	_, ok := v.(imapString)
	return ok
}

func isNumber(v any) bool {
	_, ok := v.(int64)
	return ok
}

// isParams checks body-fld-param: NIL or pairs of strings.
func isParams(v any) bool {
	if v == nil {
		return true
	}
	l, ok := v.([]any)
	for _, s := range l {
		ok = ok && isString(s)
	}
	return ok && len(l)%2 == 0
}
