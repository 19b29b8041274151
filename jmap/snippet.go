package jmap

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// snippetMethod is SearchSnippet/get, RFC 8621 §5.1.
func snippetMethod() *method {
	return &method{name: "SearchSnippet/get", capability: capMail,
		args: []wire.Field{{Name: "filter?", Type: "Any"}, {Name: "emailIds", Type: "Id[]"}}, do: snippets}
}

func snippets(c *call) (wire.Object, error) {
	ids := unique(c.strs("emailIds"))
	if len(ids) > c.limits.Get {
		return nil, refused("requestTooLarge", "more ids than maxObjectsInGet")
	}
	q, err := c.types["Email"].asked(c)
	if err != nil {
		return nil, err
	}
	subject, body := q.filter.needles()
	list, missing := []wire.Object{}, []string{}
	err = c.view(func(v *store.View) error {
		g := &getter{c, v}
		r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
		for _, id := range ids {
			n, ok := parseEmailID(id)
			var e *email
			if ok {
				if e, err = c.loadEmail(&r, n); err != nil {
					return err
				}
			}
			if e == nil {
				missing = append(missing, id)
				continue
			}
			o, err := g.snippet(id, e, subject, body)
			if err != nil {
				return err
			}
			list = append(list, o)
		}
		return nil
	})
	return c.head().With("list", list).With("notFound", orNone(missing)), err
}

// needles are the words of a filter that show in a subject and in a body. What is
// negated is not shown.
func (f *filter) needles() (subject, body []string) {
	if f == nil || f.op == "NOT" {
		return nil, nil
	}
	for _, s := range f.sub {
		a, b := s.needles()
		subject, body = append(subject, a...), append(body, b...)
	}
	for _, name := range []string{"text", "subject", "body"} {
		text, ok := f.cond[name].(string)
		if !ok {
			continue
		}
		words := splitWords(text)
		if name != "body" {
			subject = append(subject, words...)
		}
		if name != "subject" {
			body = append(body, words...)
		}
	}
	return subject, body
}

// maxSnippetText is how much of a body is searched for what to show.
const maxSnippetText = 256 << 10

func (g *getter) snippet(id string, e *email, subject, body []string) (wire.Object, error) {
	h, err := e.headerOf(g, 0)
	if err != nil {
		return nil, err
	}
	o := wire.Object{{Name: "emailId", Value: id}, {Name: "subject", Value: nil}, {Name: "preview", Value: nil}}
	if s, found := highlighted(h.Text("Subject"), subject, 0); found {
		o[1].Value = s
	}
	if len(body) == 0 {
		return o, nil
	}
	text, err := g.plainText(e)
	if err != nil {
		return nil, err
	}
	if s, found := highlighted(text, body, snippetBytes); found {
		o[2].Value = s
	}
	return o, nil
}

// plainText is the text of the first body, as a reader sees it.
func (g *getter) plainText(e *email) (string, error) {
	m, err := e.message()
	if err != nil {
		return "", err
	}
	for _, i := range listBodies(m).text {
		if p := &m.Parts[i]; p.IsText() {
			return e.readText(i, maxSnippetText)
		}
	}
	return "", nil
}

// A preview shows about this much of a text, and is no longer than RFC 8621 §5 allows, with
// its marks and entities.
const (
	snippetBytes = 180
	maxPreview   = 255
)

// highlighted returns text as HTML with the words in <mark>; with most above 0 only a piece
// around the first of them. found is false if none occurs.
func highlighted(text string, words []string, most int) (out string, found bool) {
	spans := occurrences(text, words)
	if len(spans) == 0 {
		return "", false
	}
	lo, hi := 0, len(text)
	if most > 0 {
		lo = max(0, spans[0].lo-most/4)
		for lo > 0 && !utf8.RuneStart(text[lo]) {
			lo--
		}
		hi = lo + len(cut(text[lo:], most))
	}
	w := markWriter{most: most}
	if lo > 0 {
		w.plain("…")
	}
	at := lo
	for _, s := range spans {
		if s.lo < at || s.hi > hi {
			continue
		}
		w.plain(oneSpace(text[at:s.lo]))
		w.marked(text[s.lo:s.hi])
		at = s.hi
	}
	w.plain(oneSpace(text[at:hi]))
	return w.b.String(), true
}

// A markWriter writes text as HTML, of a preview no more than maxPreview bytes: what does
// not fit any more ends it.
type markWriter struct {
	b    strings.Builder
	most int // 0: without bound
	full bool
}

func (w *markWriter) fits(n int) bool {
	w.full = w.full || w.most > 0 && w.b.Len()+n > maxPreview
	return !w.full
}

func (w *markWriter) plain(s string) {
	for _, r := range s {
		e := html.EscapeString(string(r))
		if !w.fits(len(e)) {
			return
		}
		w.b.WriteString(e)
	}
}

// marked writes a word that was looked for, whole or, if there is no room, not at all.
func (w *markWriter) marked(s string) {
	e := "<mark>" + html.EscapeString(s) + "</mark>"
	if w.fits(len(e)) {
		w.b.WriteString(e)
	}
}

// oneSpace makes one space of each run of white space.
func oneSpace(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			if !space {
				b.WriteByte(' ')
			}
			space = true
			continue
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

// A span is a piece of a text.
type span struct{ lo, hi int }

// occurrences finds words without regard to case, in order and not overlapping.
func occurrences(text string, words []string) []span {
	var spans []span
	for at := 0; at < len(text); {
		best := span{-1, -1}
		for _, w := range words {
			if n := foldedPrefix(text[at:], w); n > 0 && n > best.hi-best.lo {
				best = span{at, at + n}
			}
		}
		if best.lo >= 0 {
			spans = append(spans, best)
			at = best.hi
			continue
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return spans
}

// foldedPrefix is how many bytes of text are w but for case; 0 if it does not begin
// with it.
func foldedPrefix(text, w string) int {
	i := 0
	for _, r := range w {
		if i >= len(text) {
			return 0
		}
		t, n := utf8.DecodeRuneInString(text[i:])
		if t != r && unicode.ToLower(t) != unicode.ToLower(r) {
			return 0
		}
		i += n
	}
	return i
}
