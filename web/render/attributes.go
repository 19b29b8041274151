package render

import (
	"bytes"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// attrs are the attributes of one element: raw as they came, and those to write.
type attrs struct {
	raw   map[string]string
	names []string // to write, in order
	keep  map[string]string
}

func (a *attrs) set(name, value string) {
	if _, there := a.keep[name]; !there {
		a.names = append(a.names, name)
	}
	a.keep[name] = value
}

func (a *attrs) class(c string) {
	if old := a.keep["class"]; old != "" {
		c = old + " " + prefix + c
	} else {
		c = prefix + c
	}
	a.set("class", c)
}

func (a *attrs) empty() bool { return len(a.names) == 0 }

func (a *attrs) write(w *bytes.Buffer) {
	for _, n := range a.names {
		w.WriteByte(' ')
		w.WriteString(n)
		w.WriteString(`="`)
		escape(w, a.keep[n])
		w.WriteByte('"')
	}
}

// prefix keeps the names of a message apart from those of the page around it.
const prefix = "m-"

const maxValue = 4096

// attrs reads the attributes of the tag that z is at, and keeps what is allowed.
func (s *sanitizer) attrs(element string, z *html.Tokenizer, more bool) *attrs {
	a := &attrs{raw: map[string]string{}, keep: map[string]string{}}
	for n := 0; more && n < s.lim.Attributes; n++ {
		var k, v []byte
		k, v, more = z.TagAttr()
		name := string(k)
		if _, twice := a.raw[name]; twice || len(name) > 64 {
			continue
		}
		value := strings.Map(printable, string(v))
		if name != "src" && name != "href" && name != "style" && len(value) > maxValue {
			continue
		}
		a.raw[name] = value
		s.attr(element, a, name, value)
	}
	return a
}

func (s *sanitizer) attr(element string, a *attrs, name, value string) {
	switch {
	case name == "style":
		if css := s.declarations(value); css != "" {
			a.set("style", css)
		}
	case name == "class":
		if c := prefixed(value); c != "" {
			a.set("class", c)
		}
	case name == "id", name == "name" && element == "a":
		if c := prefixed(firstWord(value)); c != "" {
			a.set("id", c)
		}
	case name == "background":
		if to := s.fetched(value); to != "" {
			a.set("style", strings.TrimSuffix(a.keep["style"], ";")+";background-image:url("+quoteCSS(to)+")")
		}
	case name == "role":
		if roles[value] {
			a.set(name, value)
		}
	case name == "type" && element != "ol" && element != "ul" && element != "li":
	case attributes[name]:
		a.set(name, value)
	}
}

// prefixed puts the prefix before each name of a list.
func prefixed(list string) string {
	words := strings.Fields(list)
	if len(words) > 32 {
		words = words[:32]
	}
	out := words[:0]
	for _, w := range words {
		if isName(w) {
			out = append(out, prefix+w)
		}
	}
	return strings.Join(out, " ")
}

func firstWord(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isNameByte(c) {
			return false
		}
	}
	return s != "" && len(s) < 100
}

func isNameByte(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0x80
}

// anchor writes a link, or what is left of one.
func (s *sanitizer) anchor(a *attrs) {
	target, local := linkTarget(a.raw["href"])
	switch {
	case local:
		a.set("href", target)
	case target != "":
		a.set("href", target)
		a.set("target", "_blank")
		a.set("rel", "noopener noreferrer")
		if s.opts.Inert {
			a.set("data-inert", "1")
		}
	}
	s.write("a", a)
	s.push("a", "</a>")
	if target != "" && !local && len(s.open) > 0 && s.open[len(s.open)-1].name == "a" {
		s.link, s.target = &strings.Builder{}, target
	}
}

func (s *sanitizer) endLink() {
	if s.link == nil {
		return
	}
	if len(s.res.Links) < s.lim.Links {
		s.res.Links = append(s.res.Links, Link{strings.Join(strings.Fields(s.link.String()), " "), s.target})
	}
	s.link = nil
}

// linkTarget returns where a link may lead: "" if nowhere. local is a place in the
// message itself.
func linkTarget(href string) (target string, local bool) {
	href = cleanURL(href)
	if frag, ok := strings.CutPrefix(href, "#"); ok {
		if isName(frag) {
			return "#" + prefix + frag, true
		}
		return "", false
	}
	if strings.HasPrefix(href, "//") {
		href = "https:" + href
	}
	u, err := url.Parse(href)
	if err != nil || len(href) > 16<<10 {
		return "", false
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if u.Host == "" {
			return "", false
		}
		u.User = nil // https://bank.example@evil.example
	case "mailto", "tel":
	default:
		return "", false
	}
	return u.String(), false
}

// cleanURL removes what browsers remove before they look at the scheme.
func cleanURL(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(strings.ReplaceAll(s, "\\", "/"))
}
