package render

import (
	"strings"
)

// declarations keeps what is allowed of a style attribute or of a rule's block.
func (s *sanitizer) declarations(css string) string {
	if len(css) > maxDeclarations {
		css = css[:maxDeclarations]
	}
	var b strings.Builder
	for n, d := range splitCSS(stripComments(css), ';') {
		if n >= 200 {
			break
		}
		name, value, ok := strings.Cut(d, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || !properties[name] {
			continue
		}
		value, ok = s.value(name, strings.TrimSpace(value))
		if !ok {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(value)
	}
	return b.String()
}

const maxDeclarations = 64 << 10

// value returns a value that may be written; ok is false if it is to be dropped.
func (s *sanitizer) value(property, v string) (_ string, ok bool) {
	if v == "" || len(v) > maxValue && !strings.Contains(v, "url(") || strings.ContainsAny(v, "\\<>{}@;") {
		return "", false
	}
	low := strings.ToLower(v)
	switch property {
	case "position":
		low = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(low), "!important"))
		return low, low == "static" || low == "relative"
	case "mso-hide":
		return "", false
	case "color-scheme":
		s.res.Dark = s.res.Dark || strings.Contains(low, "dark")
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(v); {
		c := v[i]
		switch {
		case c == '"' || c == '\'':
			end := strings.IndexByte(v[i+1:], c)
			if end < 0 || strings.Contains(v[i+1:i+1+end], ":") {
				return "", false
			}
			b.WriteString(v[i : i+end+2])
			i += end + 2
		case c == '(':
			name := trailingName(b.String())
			if name == "url" {
				end := urlEnd(v[i:])
				if end < 0 {
					return "", false
				}
				to := s.fetched(strings.Trim(strings.TrimSpace(v[i+1:i+end]), `"'`))
				if to == "" {
					return "", false
				}
				b.WriteString("(" + quoteCSS(to) + ")")
				i += end + 1
				continue
			}
			if name != "" && !functions[name] {
				return "", false
			}
			b.WriteByte(c)
			i++
		case c == ':': // no address stands outside of url()
			return "", false
		case c < 0x20:
			b.WriteByte(' ')
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), true
}

// urlEnd returns where the ")" of an url( is, from its "(" on; -1 if there is none.
func urlEnd(s string) int {
	i := 1
	for i < len(s) && s[i] == ' ' {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'') {
		end := strings.IndexByte(s[i+1:], s[i])
		if end < 0 {
			return -1
		}
		i += end + 2
	}
	if end := strings.IndexByte(s[i:], ')'); end >= 0 {
		return i + end
	}
	return -1
}

// trailingName returns the name at the end of s, in lower case.
func trailingName(s string) string {
	i := len(s)
	for i > 0 && isNameByte(s[i-1]) {
		i--
	}
	return strings.ToLower(s[i:])
}

// quoteCSS writes an address as a string of CSS that holds inside of HTML too.
func quoteCSS(u string) string {
	return `"` + strings.NewReplacer(`"`, "%22", `\`, "%5C", "<", "%3C", ">", "%3E", "\n", "", "\r", "").Replace(u) + `"`
}

// A cssString is the quote that opened the string in which a scan is, or 0.
type cssString byte

// holds goes on by one byte and reports whether that belongs to a string, its
// quotes included. A line end closes a string, too.
func (q *cssString) holds(c byte) bool {
	switch {
	case *q != 0:
		if c == byte(*q) || c == '\n' {
			*q = 0
		}
		return true
	case c == '"' || c == '\'':
		*q = cssString(c)
		return true
	}
	return false
}

// splitCSS splits at sep outside of strings and parentheses.
func splitCSS(s string, sep byte) []string {
	var out []string
	var quote cssString
	depth, start := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case quote.holds(c):
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == sep && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func stripComments(s string) string {
	if !strings.Contains(s, "/*") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "/*")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		b.WriteByte(' ')
		end := strings.Index(s[i+2:], "*/")
		if end < 0 {
			return b.String()
		}
		s = s[i+2+end+2:]
	}
}

// sheet keeps what is allowed of a style sheet.
func (s *sanitizer) sheet(css string) {
	if s.styled += len(css); s.styled > s.lim.StyleBytes {
		s.res.Cut = true
		return
	}
	css = strings.NewReplacer("<!--", " ", "-->", " ").Replace(stripComments(css))
	if strings.Contains(css, "prefers-color-scheme") {
		s.res.Dark = s.res.Dark || strings.Contains(css, "dark")
	}
	s.rules(css, 0)
}

// rules writes the rules of a sheet, or of an @media block inside of it.
func (s *sanitizer) rules(css string, depth int) {
	for len(css) > 0 {
		brace := indexOutside(css, "{;")
		if brace < 0 {
			return
		}
		head := strings.TrimSpace(css[:brace])
		if css[brace] == ';' {
			css = css[brace+1:] // @import, @charset, or rubbish
			continue
		}
		end := blockEnd(css[brace:])
		block := css[brace+1 : brace+end]
		css = css[min(len(css), brace+end+1):]
		if query, ok := mediaQuery(head); ok && depth == 0 {
			s.style.WriteString("@media " + query + "{")
			s.rules(block, depth+1)
			s.style.WriteString("}\n")
			continue
		}
		if strings.HasPrefix(head, "@") {
			continue
		}
		s.rule(head, block)
	}
}

func (s *sanitizer) rule(head, block string) {
	var list []string
	for n, one := range splitCSS(head, ',') {
		if sel, ok := selector(strings.TrimSpace(one)); ok && n < 100 {
			list = append(list, sel)
		}
	}
	if len(list) == 0 {
		return
	}
	if d := s.declarations(block); d != "" {
		s.style.WriteString(strings.Join(list, ",") + "{" + strings.ReplaceAll(d, "<", "") + "}\n")
	}
}

// mediaQuery returns the query of an @media rule. What asks for a dark page goes:
// the page's own colours decide that.
func mediaQuery(head string) (string, bool) {
	if len(head) < 7 || !strings.EqualFold(head[:6], "@media") || len(head) > 300 {
		return "", false
	}
	q := strings.TrimSpace(head[6:])
	for i := range len(q) {
		if c := q[i]; !(isNameByte(c) && c < 0x80 || strings.IndexByte(" ():,./=\t\n\r", c) >= 0) {
			return "", false
		}
	}
	if q == "" || strings.Contains(strings.ToLower(q), "prefers-color-scheme") {
		return "", false
	}
	return q, true
}

// selector keeps a selector of names, classes, ids and a few pseudo-classes; the
// names get their prefix, and the page becomes the message's own block.
func selector(sel string) (string, bool) {
	if sel == "" || len(sel) > 300 {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(sel); {
		c := sel[i]
		j := i + 1
		for j < len(sel) && isNameByte(sel[j]) {
			j++
		}
		switch {
		case c == '.' || c == '#':
			if j == i+1 {
				return "", false
			}
			b.WriteString(string(c) + prefix + sel[i+1:j])
		case c == ':':
			name := strings.ToLower(sel[i+1 : j])
			if !pseudoClasses[name] {
				return "", false
			}
			if j < len(sel) && sel[j] == '(' {
				end := strings.IndexByte(sel[j:], ')')
				if end < 0 || strings.Trim(sel[j+1:j+end], "0123456789n+- odevODEVN") != "" {
					return "", false
				}
				j += end + 1
			}
			b.WriteString(sel[i:j])
		case isNameByte(c):
			if name := strings.ToLower(sel[i:j]); name == "body" || name == "html" {
				b.WriteString("." + prefix + "body")
			} else {
				b.WriteString(sel[i:j])
			}
		case strings.IndexByte(" >+~*\t\n\r", c) >= 0:
			b.WriteByte(c)
			j = i + 1
		default:
			return "", false
		}
		i = j
	}
	return b.String(), true
}

// indexOutside finds the first byte of set outside of strings.
func indexOutside(s, set string) int {
	var quote cssString
	for i := range len(s) {
		switch c := s[i]; {
		case quote.holds(c):
		case strings.IndexByte(set, c) >= 0:
			return i
		}
	}
	return -1
}

// blockEnd returns where the block that begins at s[0] ends: at its "}", or at the
// end of s.
func blockEnd(s string) int {
	var quote cssString
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case quote.holds(c):
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(s)
}
