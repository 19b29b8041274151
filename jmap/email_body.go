package jmap

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"posthouse/jmap/wire"
	"posthouse/message"
)

// bodyGetArgs are the arguments of Email/get and Email/parse about bodies, RFC 8621
// §4.2.
var bodyGetArgs = []wire.Field{
	{Name: "bodyProperties?", Type: "String[]"}, {Name: "fetchTextBodyValues?", Type: "Boolean"}, {Name: "fetchHTMLBodyValues?", Type: "Boolean"},
	{Name: "fetchAllBodyValues?", Type: "Boolean"}, {Name: "maxBodyValueBytes?", Type: "UnsignedInt"},
}

// bodyArgs are they, checked.
type bodyArgs struct {
	properties      []bodyProperty
	text, html, all bool
	most            int
}

// A bodyProperty is a property of EmailBodyPart.
type bodyProperty struct {
	name string
	get  func(g *getter, e *email, i int) (any, error)
}

// maxBodyValue bounds one body value whatever the client asks.
const maxBodyValue = 16 << 20

// defaultBodyProperties are those of RFC 8621 §4.2.
var defaultBodyProperties = []string{"partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"}

// bodyProperties are all that there are, RFC 8621 §4.1.4; subParts and header:* are
// made where they are asked for.
var bodyProperties = map[string]func(g *getter, e *email, i int) (any, error){
	"partId": ofPart(func(e *email, i int, p *message.Part) any {
		if p.IsMultipart() {
			return nil
		}
		return partID(i)
	}),
	"blobId": ofPart(func(e *email, i int, p *message.Part) any {
		if p.IsMultipart() {
			return nil
		}
		return e.blob + "-" + partID(i)
	}),
	"size": func(g *getter, e *email, i int) (any, error) { return e.partSize(i) },
	"name": ofPart(func(_ *email, _ int, p *message.Part) any { return textOrNull(p.Filename()) }),
	"type": ofPart(func(_ *email, _ int, p *message.Part) any { return p.Type + "/" + p.Subtype }),
	"charset": ofPart(func(_ *email, _ int, p *message.Part) any {
		if !p.IsText() {
			return nil
		}
		if c := p.Param("charset"); c != "" {
			return c
		}
		return "us-ascii"
	}),
	"disposition": ofPart(func(_ *email, _ int, p *message.Part) any { return textOrNull(p.Disposition) }),
	"cid":         ofPart(func(_ *email, _ int, p *message.Part) any { return textOrNull(strings.Trim(p.ID, "<> ")) }),
	"language": ofPart(func(_ *email, _ int, p *message.Part) any {
		if p.Languages == nil {
			return nil
		}
		return p.Languages
	}),
	"location": ofPart(func(_ *email, _ int, p *message.Part) any { return textOrNull(p.Location) }),
	"headers": func(g *getter, e *email, i int) (any, error) {
		h, err := e.headerOf(g, i)
		if err != nil {
			return nil, err
		}
		return headerList(h), nil
	},
}

func ofPart(f func(e *email, i int, p *message.Part) any) func(*getter, *email, int) (any, error) {
	return func(_ *getter, e *email, i int) (any, error) { return f(e, i, &e.msg.Parts[i]), nil }
}

// partID names a part: its place among all parts of the message, from 1.
func partID(i int) string { return fmt.Sprint(i + 1) }

// bodyArgs checks the arguments of a call about bodies.
func (c *call) bodyArgs() (*bodyArgs, error) {
	a := &bodyArgs{text: c.flag("fetchTextBodyValues"), html: c.flag("fetchHTMLBodyValues"), all: c.flag("fetchAllBodyValues"),
		most: int(min(c.num("maxBodyValueBytes", 0), maxBodyValue))}
	names := defaultBodyProperties
	if c.args["bodyProperties"] != nil {
		names = c.strs("bodyProperties")
	}
	for _, name := range names {
		p := bodyProperty{name, bodyProperties[name]}
		if p.get == nil && name != "subParts" {
			h := headerProperty(name)
			if h == nil {
				return nil, invalidArguments("there is no property " + name + " of a body part")
			}
			p.get = partHeader(name)
		}
		a.properties = append(a.properties, p)
	}
	return a, nil
}

// partHeader reads a header:* property of a part.
func partHeader(name string) func(*getter, *email, int) (any, error) {
	parts := strings.Split(name, ":")
	field, form, all := parts[1], "asRaw", parts[len(parts)-1] == "all"
	if len(parts) > 2 && parts[2] != "all" {
		form = parts[2]
	}
	return func(g *getter, e *email, i int) (any, error) {
		h, err := e.headerOf(g, i)
		if err != nil {
			return nil, err
		}
		return readField(h, field, form, all), nil
	}
}

// decoded returns the bytes of a part with its transfer encoding undone.
func (e *email) decoded(i int) (io.Reader, io.Closer, error) {
	p := &e.msg.Parts[i]
	b, err := e.open()
	if err != nil {
		return nil, nil, err
	}
	raw := io.NewSectionReader(b, p.BodyStart, p.Size())
	r, err := message.NewDecoder(raw, p.Encoding)
	if errors.Is(err, message.ErrUnknownEncoding) {
		r, err = raw, nil
	}
	return r, b, err
}

// partSize is the size of a part's decoded bytes.
func (e *email) partSize(i int) (any, error) {
	p := &e.msg.Parts[i]
	switch strings.ToLower(strings.TrimSpace(p.Encoding)) {
	case "7bit", "8bit", "binary", "":
		return p.Size(), nil
	}
	if p.IsMultipart() {
		return p.Size(), nil
	}
	r, closer, err := e.decoded(i)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return io.Copy(io.Discard, r)
}

// part spells an EmailBodyPart.
func (g *getter) part(e *email, i int) (wire.Object, error) {
	o := make(wire.Object, 0, len(e.args.properties))
	for _, p := range e.args.properties {
		if p.name == "subParts" {
			subs, err := g.subParts(e, i)
			if err != nil {
				return nil, err
			}
			o = o.With("subParts", subs)
			continue
		}
		val, err := p.get(g, e, i)
		if err != nil {
			return nil, err
		}
		o = o.With(p.name, val)
	}
	return o, nil
}

// subParts are the parts inside a multipart. The depth is bounded by the parser.
func (g *getter) subParts(e *email, i int) (any, error) {
	if !e.msg.Parts[i].IsMultipart() {
		return nil, nil
	}
	list := []wire.Object{}
	for c := range e.msg.ChildrenOf(i) {
		sub, err := g.part(e, c)
		if err != nil {
			return nil, err
		}
		list = append(list, sub)
	}
	return list, nil
}

// bodyStructure is the whole tree; it has subParts unless the client chose.
func bodyStructure(g *getter, e *email) (any, error) {
	if _, err := e.message(); err != nil {
		return nil, err
	}
	if g.args["bodyProperties"] == nil {
		a := *e.args
		a.properties = append(a.properties[:len(a.properties):len(a.properties)], bodyProperty{name: "subParts"})
		old := e.args
		e.args = &a
		defer func() { e.args = old }()
	}
	return g.part(e, 0)
}

// bodyLists are the parts as a reader sees them, RFC 8621 §4.1.4.
type bodyLists struct{ text, html, attachments []int }

func bodyList(pick func(b *bodyLists) []int) func(g *getter, e *email) (any, error) {
	return func(g *getter, e *email) (any, error) {
		m, err := e.message()
		if err != nil {
			return nil, err
		}
		list := []wire.Object{}
		for _, i := range pick(listBodies(m)) {
			p, err := g.part(e, i)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
		}
		return list, nil
	}
}

func listBodies(m *message.Message) *bodyLists {
	b := &bodyLists{}
	w := bodyWalker{m: m, text: &b.text, html: &b.html, attachments: &b.attachments}
	w.walk([]int{0}, "mixed", false)
	return b
}

// A bodyWalker is the algorithm of RFC 8621 §4.1.4, parseStructure. A nil list takes
// nothing.
type bodyWalker struct {
	m                       *message.Message
	text, html, attachments *[]int
}

func isInlineMedia(p *message.Part) bool {
	return p.Type == "image" || p.Type == "audio" || p.Type == "video"
}

// walk sorts the parts into the lists. What is said in text and in HTML by turns, below
// multipart/alternative, ends the other list for what follows in the same multipart: so
// w is a copy. The depth is bounded by the parser.
func (w bodyWalker) walk(parts []int, multipart string, inAlternative bool) {
	textLen, htmlLen := -1, -1
	if w.text != nil {
		textLen = len(*w.text)
	}
	if w.html != nil {
		htmlLen = len(*w.html)
	}
	for n, i := range parts {
		p := &w.m.Parts[i]
		if p.IsMultipart() {
			var subs []int
			for c := range w.m.ChildrenOf(i) {
				subs = append(subs, c)
			}
			w.walk(subs, p.Subtype, inAlternative || p.Subtype == "alternative")
			continue
		}
		w.leaf(i, n, multipart, inAlternative)
	}
	if multipart != "alternative" || w.text == nil || w.html == nil {
		return
	}
	// One kind of body only: it stands for the other too.
	if textLen == len(*w.text) && htmlLen != len(*w.html) {
		*w.text = append(*w.text, (*w.html)[htmlLen:]...)
	}
	if htmlLen == len(*w.html) && textLen != len(*w.text) {
		*w.html = append(*w.html, (*w.text)[textLen:]...)
	}
}

// leaf sorts in one part, the n-th of its multipart, and may end a list for the next.
func (w *bodyWalker) leaf(i, n int, multipart string, inAlternative bool) {
	p := &w.m.Parts[i]
	isText := p.IsText() && (p.Subtype == "plain" || p.Subtype == "html")
	inline := p.Disposition != "attachment" && (isText || isInlineMedia(p)) &&
		(n == 0 || multipart != "related" && (isInlineMedia(p) || p.Filename() == ""))
	if !inline {
		*w.attachments = append(*w.attachments, i)
		return
	}
	if multipart == "alternative" {
		switch {
		case p.IsText() && p.Subtype == "plain":
			w.add(w.text, i)
		case p.IsText() && p.Subtype == "html":
			w.add(w.html, i)
		default:
			*w.attachments = append(*w.attachments, i)
		}
		return
	}
	if inAlternative {
		if p.IsText() && p.Subtype == "plain" {
			w.html = nil
		}
		if p.IsText() && p.Subtype == "html" {
			w.text = nil
		}
	}
	w.add(w.text, i)
	w.add(w.html, i)
	if (w.text == nil || w.html == nil) && isInlineMedia(p) {
		*w.attachments = append(*w.attachments, i)
	}
}

func (w *bodyWalker) add(list *[]int, i int) {
	if list != nil {
		*list = append(*list, i)
	}
}

// bodyValues is the property of that name: the texts that the arguments ask for.
func (g *getter) bodyValues(e *email) (any, error) {
	m, err := e.message()
	if err != nil {
		return nil, err
	}
	lists := listBodies(m)
	want := map[int]bool{}
	add := func(list []int) {
		for _, i := range list {
			want[i] = m.Parts[i].IsText()
		}
	}
	if e.args.text {
		add(lists.text)
	}
	if e.args.html {
		add(lists.html)
	}
	if e.args.all {
		add(lists.text)
		add(lists.html)
		add(lists.attachments)
	}
	out := map[string]any{}
	for i, isText := range want {
		if !isText {
			continue
		}
		if out[partID(i)], err = e.bodyValue(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bodyValue is an EmailBodyValue, RFC 8621 §4.1.4.
func (e *email) bodyValue(i int) (wire.Object, error) {
	p := &e.msg.Parts[i]
	r, closer, err := e.decoded(i)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	most := e.args.most
	if most == 0 {
		most = maxBodyValue
	}
	// Line ends become one byte, so twice as much is read at most.
	b, err := io.ReadAll(io.LimitReader(message.NewCharsetReader(r, p.Charset()), int64(2*most)+utf8.UTFMax))
	if err != nil {
		return nil, err
	}
	s := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\x00", "")
	broken := !message.KnownEncoding(p.Encoding) || strings.ContainsRune(s, utf8.RuneError)
	short := len(s) > most
	if short {
		s = shorten(s, most, p.Subtype == "html")
	}
	return wire.Object{{Name: "value", Value: s}, {Name: "isEncodingProblem", Value: broken}, {Name: "isTruncated", Value: short}}, nil
}

// readText returns the first bytes of a text part as a reader sees it, without tags.
func (e *email) readText(i, most int) (string, error) {
	p := &e.msg.Parts[i]
	b, err := e.open()
	if err != nil {
		return "", err
	}
	defer b.Close()
	text, err := io.ReadAll(io.LimitReader(message.NewTextReader(io.NewSectionReader(b, p.BodyStart, p.Size()), p), int64(most)))
	return strings.ToValidUTF8(string(text), ""), err
}

// shorten cuts a text after at most n bytes: at the end of a character, and not
// inside of a tag.
func shorten(s string, n int, html bool) string {
	s = cut(s, n)
	if html {
		if open := strings.LastIndexByte(s, '<'); open > strings.LastIndexByte(s, '>') {
			s = s[:open]
		}
	}
	return s
}
