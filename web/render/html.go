package render

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/net/html"
)

// HTML makes the HTML of a message fit to be shown.
func HTML(src string, o Options) Result {
	s := &sanitizer{opts: o, lim: o.Limits.withDefaults()}
	s.opts.Limits = s.lim
	if len(src) > s.lim.Bytes {
		src, s.res.Cut = src[:s.lim.Bytes], true
	}
	s.run(html.NewTokenizer(strings.NewReader(src)))
	return s.finish()
}

// A sanitizer writes what is allowed of the tokens that it sees.
type sanitizer struct {
	opts     Options
	lim      Limits
	res      Result
	out      bytes.Buffer
	style    bytes.Buffer // of all style sheets
	styled   int          // bytes of style sheets seen
	open     []element
	skip     string // the element whose content is passed over
	skipped  int    // how deep it is nested in itself
	elements int
	words    bool // there was visible text
	link     *strings.Builder
	target   string
}

// An element that is open: its name and what closes it.
type element struct{ name, end string }

func (s *sanitizer) run(z *html.Tokenizer) {
	z.SetMaxBuf(s.lim.Bytes + 1)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				s.res.Cut = true
			}
			return
		case html.TextToken:
			s.text(z)
		case html.StartTagToken, html.SelfClosingTagToken:
			if s.elements++; s.elements > s.lim.Elements {
				s.res.Cut = true
				return
			}
			s.startTag(z)
		case html.EndTagToken:
			name, _ := z.TagName()
			s.endTag(string(name))
		}
	}
}

func (s *sanitizer) text(z *html.Tokenizer) {
	raw := z.Text()
	if s.skip == "style" {
		s.sheet(string(raw))
		return
	}
	if s.skip != "" {
		return
	}
	t := strings.Map(printable, string(raw))
	if !s.words && strings.TrimSpace(t) != "" {
		s.words = true
	}
	if s.link != nil && s.link.Len() < 500 {
		s.link.WriteString(t)
	}
	escape(&s.out, t)
}

// printable drops the characters that HTML cannot hold.
func printable(r rune) rune {
	if r < 0x20 && r != '\n' && r != '\t' && r != '\r' || r == 0x7f || r == 0xfffe || r == 0xffff {
		return -1
	}
	return r
}

func escape(w *bytes.Buffer, t string) {
	for i := range len(t) {
		switch c := t[i]; c {
		case '&':
			w.WriteString("&amp;")
		case '<':
			w.WriteString("&lt;")
		case '>':
			w.WriteString("&gt;")
		case '"':
			w.WriteString("&#34;")
		case '\'':
			w.WriteString("&#39;")
		case '`':
			w.WriteString("&#96;")
		default:
			w.WriteByte(c)
		}
	}
}

func (s *sanitizer) startTag(z *html.Tokenizer) {
	nameBytes, more := z.TagName()
	name := string(nameBytes)
	if s.skip != "" {
		if name == s.skip && !void[name] {
			s.skipped++
		}
		return
	}
	if fields[name] {
		s.res.Forms++
	}
	if name == "body" || name == "html" {
		s.body(s.attrs(name, z, more))
		return
	}
	if name == "meta" {
		s.meta(z, more)
		return
	}
	if dropped[name] {
		if !void[name] {
			s.skip, s.skipped = name, 1
		}
		return
	}
	if !allowed[name] {
		return
	}
	s.imply(name)
	a := s.attrs(name, z, more)
	switch name {
	case "a":
		s.anchor(a)
		return
	case "img":
		s.image(a)
		return
	case "blockquote", "div":
		if s.folds(name, a) {
			return
		}
	}
	s.write(name, a)
	if !void[name] {
		s.push(name, "</"+name+">")
	}
}

// write writes a start tag.
func (s *sanitizer) write(name string, a *attrs) {
	s.out.WriteByte('<')
	s.out.WriteString(name)
	a.write(&s.out)
	s.out.WriteByte('>')
}

// push notes an open element. One that is nested too deep is closed at once.
func (s *sanitizer) push(name, end string) {
	if len(s.open) >= s.lim.Depth {
		s.res.Cut = true
		s.out.WriteString(end)
		return
	}
	s.open = append(s.open, element{name, end})
}

// body becomes the block that has the page's colours.
func (s *sanitizer) body(a *attrs) {
	if a.empty() || len(s.open) >= s.lim.Depth {
		return
	}
	a.class("body")
	s.write("div", a)
	s.push("body", "</div>")
}

// folds wraps the quoted message below a reply, so that it opens on demand.
func (s *sanitizer) folds(name string, a *attrs) bool {
	quoted := name == "blockquote" && (a.raw["type"] == "cite" || strings.Contains(a.raw["class"], "gmail_quote")) ||
		name == "div" && (strings.Contains(a.raw["class"], "gmail_quote") || strings.Contains(a.raw["class"], "yahoo_quoted") || a.raw["id"] == "appendonsend")
	if !quoted || !s.words {
		return false
	}
	for _, e := range s.open {
		if e.name == "blockquote" || strings.HasSuffix(e.end, "</details>") {
			return false
		}
	}
	s.out.WriteString(foldStart)
	s.write(name, a)
	s.push(name, "</"+name+"></details>")
	return true
}

const foldStart = `<details class="ph-quote"><summary><span>&#8226;&#8226;&#8226;</span></summary>`

// imply ends the elements that a new one ends.
func (s *sanitizer) imply(name string) {
	if closesParagraph[name] {
		if n := len(s.open); n > 0 && s.open[n-1].name == "p" {
			s.pop(n - 1)
		}
	}
	rule, ok := implied[name]
	if !ok {
		return
	}
	for i := len(s.open) - 1; i >= 0 && !rule.within[s.open[i].name]; i-- {
		if rule.ends[s.open[i].name] {
			s.pop(i)
			if name != "tr" && name != "tbody" && name != "thead" && name != "tfoot" {
				return
			}
		}
	}
}

// pop closes all elements from index i on.
func (s *sanitizer) pop(i int) {
	for n := len(s.open) - 1; n >= i; n-- {
		if s.open[n].name == "a" {
			s.endLink()
		}
		s.out.WriteString(s.open[n].end)
	}
	s.open = s.open[:i]
}

func (s *sanitizer) endTag(name string) {
	if s.skip != "" {
		if name == s.skip {
			if s.skipped--; s.skipped <= 0 {
				s.skip = ""
			}
		}
		return
	}
	if name == "html" || name == "body" { // what follows still belongs to it
		return
	}
	if name == "p" && (len(s.open) == 0 || s.open[len(s.open)-1].name != "p") {
		if !s.isOpen("p") {
			return
		}
	}
	for i := len(s.open) - 1; i >= 0; i-- {
		if s.open[i].name == name {
			s.pop(i)
			return
		}
		if barriers[s.open[i].name] && !tableParts[name] {
			return
		}
	}
}

func (s *sanitizer) isOpen(name string) bool {
	for _, e := range s.open {
		if e.name == name {
			return true
		}
	}
	return false
}

// meta is dropped; it may say that the message knows dark pages.
func (s *sanitizer) meta(z *html.Tokenizer, more bool) {
	a := s.attrs("meta", z, more)
	if strings.Contains(a.raw["name"], "color-scheme") && strings.Contains(a.raw["content"], "dark") {
		s.res.Dark = true
	}
}

func (s *sanitizer) finish() Result {
	s.pop(0)
	if s.style.Len() == 0 {
		s.res.HTML = s.out.Bytes()
		return s.res
	}
	all := make([]byte, 0, s.style.Len()+s.out.Len()+20)
	all = append(all, "<style>"...)
	all = append(all, s.style.Bytes()...)
	all = append(all, "</style>"...)
	s.res.HTML = append(all, s.out.Bytes()...)
	return s.res
}
