package render

import (
	"bytes"
	"regexp"
	"strings"
)

// A Format says how lines of plain text belong together, RFC 3676 §4.
type Format uint8

// The formats.
const (
	Fixed       Format = iota // each line by itself
	Flowed                    // a space at the end of a line joins it with the next
	FlowedDelSp               // and is itself not text
)

// Plain makes the text of a message into HTML: paragraphs of format=flowed are
// joined (RFC 3676 §4), quotes become blocks, those below the reply fold away,
// addresses of pages and people become links.
func Plain(text string, f Format, o Options) Result {
	lim := o.Limits.withDefaults()
	p := &plain{inert: o.Inert, lim: lim}
	if len(text) > lim.Bytes {
		text, p.res.Cut = text[:lim.Bytes], true
	}
	text = strings.Map(printable, strings.ReplaceAll(text, "\r\n", "\n"))
	lines := splitLines(strings.TrimRight(text, "\n\t "), f)
	class := "ph-text"
	if isCode(text) {
		class = "ph-text ph-mono"
	}
	p.out.WriteString(`<div class="` + class + `" dir="auto">`)
	p.write(lines)
	p.out.WriteString("</div>")
	p.res.HTML = p.out.Bytes()
	return p.res
}

type plain struct {
	out   bytes.Buffer
	res   Result
	inert bool
	lim   Limits
}

// A line of text with its depth of quoting.
type line struct {
	depth int
	text  string
	fixed bool // the signature's separator
}

// maxQuote bounds how deep quotes are shown.
const maxQuote = 10

func splitLines(text string, f Format) []line {
	var out []line
	open := false // the last line flows on
	for raw := range strings.SplitSeq(text, "\n") {
		raw = strings.TrimSuffix(raw, "\r")
		depth, rest := quoteDepth(raw)
		l := line{depth: min(depth, maxQuote), text: rest}
		if f != Fixed {
			l.text = strings.TrimPrefix(l.text, " ") // space-stuffing
		}
		l.fixed = l.text == "-- "
		if open && len(out) > 0 && out[len(out)-1].depth == l.depth && !l.fixed {
			out[len(out)-1].text += l.text
		} else {
			out = append(out, l)
		}
		open = f != Fixed && !l.fixed && strings.HasSuffix(l.text, " ")
		if open && f == FlowedDelSp {
			last := &out[len(out)-1]
			last.text = last.text[:len(last.text)-1]
		}
	}
	return out
}

func quoteDepth(s string) (int, string) {
	n := 0
	for {
		switch {
		case strings.HasPrefix(s, ">"):
			s = s[1:]
		case n > 0 && strings.HasPrefix(s, " >"):
			s = s[2:]
		default:
			if n > 0 {
				s = strings.TrimPrefix(s, " ")
			}
			return n, s
		}
		n++
	}
}

// write writes the lines; a quote that is the rest of the message folds.
func (p *plain) write(lines []line) {
	fold := foldFrom(lines)
	depth := 0
	for i, l := range lines {
		if i == fold {
			p.depth(&depth, 0)
			p.out.WriteString(foldStart)
		}
		p.depth(&depth, l.depth)
		if l.fixed && l.depth == 0 {
			p.out.WriteString(`<div class="ph-sig">`)
			for _, rest := range lines[i:] {
				p.text(rest.text)
			}
			p.out.WriteString("</div>")
			break
		}
		p.text(l.text)
	}
	p.depth(&depth, 0)
	if fold >= 0 {
		p.out.WriteString("</details>")
	}
}

// foldFrom returns the line from which on all is quoted, with its introduction; -1
// if the message does not end with a quote or is nothing else.
func foldFrom(lines []line) int {
	i := len(lines)
	for i > 0 && (lines[i-1].depth > 0 || strings.TrimSpace(lines[i-1].text) == "") {
		i--
	}
	if i == len(lines) || i == 0 {
		return -1
	}
	quoted := false
	for _, l := range lines[i:] {
		quoted = quoted || l.depth > 0
	}
	if !quoted {
		return -1
	}
	if t := strings.TrimSpace(lines[i-1].text); strings.HasSuffix(t, ":") && len(t) < 200 && i > 1 {
		i--
	}
	for j := range i {
		if strings.TrimSpace(lines[j].text) != "" {
			return i
		}
	}
	return -1
}

func (p *plain) depth(now *int, want int) {
	for ; *now < want; *now++ {
		p.out.WriteString(`<blockquote class="ph-q" dir="auto">`)
	}
	for ; *now > want; *now-- {
		p.out.WriteString("</blockquote>")
	}
}

// linkRE finds addresses in text.
var linkRE = regexp.MustCompile(`(?i)\b(https?://[^\s<>"'` + "`" + `]+|mailto:[^\s<>"']+|www\.[a-z0-9-]+\.[^\s<>"']+|[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+)`)

func (p *plain) text(t string) {
	if strings.TrimSpace(t) == "" {
		p.out.WriteString("<br>")
		return
	}
	p.out.WriteString(`<div dir="auto">`)
	last := 0
	if len(t) < 64<<10 {
		for _, m := range linkRE.FindAllStringIndex(t, 1000) {
			shown := strings.TrimRight(t[m[0]:m[1]], ".,;:!?")
			if strings.HasSuffix(shown, ")") && !strings.Contains(shown, "(") {
				shown = strings.TrimSuffix(shown, ")")
			}
			escape(&p.out, t[last:m[0]])
			p.link(shown)
			last = m[0] + len(shown)
		}
	}
	escape(&p.out, t[last:])
	p.out.WriteString("</div>")
}

func (p *plain) link(shown string) {
	href := shown
	switch low := strings.ToLower(shown); {
	case strings.HasPrefix(low, "http"), strings.HasPrefix(low, "mailto:"):
	case strings.HasPrefix(low, "www."):
		href = "http://" + shown
	default:
		href = "mailto:" + shown
	}
	target, _ := linkTarget(href)
	if target == "" {
		escape(&p.out, shown)
		return
	}
	if len(p.res.Links) < p.lim.Links {
		p.res.Links = append(p.res.Links, Link{shown, target})
	}
	p.out.WriteString(`<a href="`)
	escape(&p.out, target)
	p.out.WriteString(`" target="_blank" rel="noopener noreferrer"`)
	if p.inert {
		p.out.WriteString(` data-inert="1"`)
	}
	p.out.WriteByte('>')
	escape(&p.out, shown)
	p.out.WriteString("</a>")
}

var codeRE = regexp.MustCompile(`(?m)^(diff --git |@@ -\d+|\+--[-+]+\+$|\|.*\|.*\|\s*$)`)

// isCode reports whether a text wants letters of one width: a patch, a table.
func isCode(text string) bool { return codeRE.MatchString(text[:min(len(text), 64<<10)]) }
