package web

import (
	"context"
	"io"
	"strings"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
	"posthouse/web/proxy"
	"posthouse/web/render"
)

// An openMessage is a message that is being shown.
type openMessage struct {
	email *store.Email
	msg   *message.Message
	body  store.Body
}

func (b *openMessage) Close() { _ = b.body.Close() } // only read

// open opens a message for reading.
func (s *Server) open(ctx context.Context, g signed) (*openMessage, error) {
	acct := g.as
	if acct == nil { // the signature is the right
		var err error
		if acct, err = s.opts.Store.Account(ctx, g.account); err != nil {
			return nil, err
		}
	}
	b := new(openMessage)
	err := acct.View(ctx, func(v *store.View) error {
		in, err := v.Memberships(g.email)
		if err == nil && len(in) == 0 {
			return &mail.Error{Kind: mail.NotFound, Op: "web.open", Text: "there is no such message"}
		}
		if err == nil {
			b.email, err = v.Email(g.email)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if b.msg, err = b.email.Message(); err != nil {
		return nil, err
	}
	b.body, err = acct.Open(ctx, b.email)
	return b, err
}

// has reports whether there is a shown part of a text subtype.
func (b *openMessage) has(subtype string) bool {
	for _, plain := range []bool{false, true} {
		for _, i := range b.shown(0, plain, nil) {
			if b.msg.Parts[i].Subtype == subtype {
				return true
			}
		}
	}
	return false
}

// shown lists the text parts that are the body of the part i, for a reader who
// prefers HTML, or plain text. The depth of parts is bounded by the parser.
func (b *openMessage) shown(i int, plain bool, list []int) []int {
	p := &b.msg.Parts[i]
	switch {
	case p.Type == "text" && !p.IsAttachment() && (p.Subtype == "plain" || p.Subtype == "html" || p.Subtype == "enriched"):
		return append(list, i)
	case p.Type == "multipart" && p.Subtype == "alternative":
		var best []int
		for c := range b.msg.ChildrenOf(i) {
			if l := b.shown(c, plain, nil); len(l) > 0 && (best == nil || !plain) {
				best = l
			}
		}
		return append(list, best...)
	case p.Type == "multipart" && p.Subtype == "related":
		for c := range b.msg.ChildrenOf(i) {
			if l := b.shown(c, plain, nil); len(l) > 0 {
				return append(list, l...)
			}
		}
	case p.Type == "multipart":
		for c := range b.msg.ChildrenOf(i) {
			list = b.shown(c, plain, list)
		}
	}
	return list
}

// render makes what is shown of a message.
func (b *openMessage) render(s *Server, g signed, how viewAs) (res render.Result, kind string, size int64) {
	kind = "plain"
	for _, i := range b.shown(0, how.plain, nil) {
		p := &b.msg.Parts[i]
		size += p.Size()
		r := b.part(s, g, i, how)
		if p.Subtype == "html" {
			kind = "html"
		}
		res.HTML = append(res.HTML, r.HTML...)
		res.Links = append(res.Links, r.Links...)
		res.Trackers = append(res.Trackers, r.Trackers...)
		res.Blocked, res.Proxied, res.Forms = res.Blocked+r.Blocked, res.Proxied+r.Proxied, res.Forms+r.Forms
		res.Cut, res.Dark = res.Cut || r.Cut || p.Size() > 2*how.limit, res.Dark || r.Dark
	}
	return res, kind, size
}

// part makes one text part fit to be shown.
func (b *openMessage) part(s *Server, g signed, i int, how viewAs) render.Result {
	p := &b.msg.Parts[i]
	data, err := b.decoded(i, how.limit)
	if err != nil {
		return render.Plain("This part cannot be read.", render.Fixed, render.Options{})
	}
	text := message.DecodeText(p.Charset(), data)
	o := render.Options{Part: func(id string) string {
		for n := range b.msg.Parts {
			if strings.Trim(b.msg.Parts[n].ID, "<>") == id && id != "" {
				return s.sign(signed{account: g.account, email: g.email, part: n})
			}
		}
		return ""
	}}
	if how.images {
		o.Image = func(u string) string { return s.sign(signed{account: g.account, email: g.email, url: u}) }
	}
	if p.Subtype == "html" {
		return render.HTML(text, o)
	}
	format := render.Fixed
	if strings.EqualFold(p.Param("format"), "flowed") {
		if format = render.Flowed; strings.EqualFold(p.Param("delsp"), "yes") {
			format = render.FlowedDelSp
		}
	}
	return render.Plain(text, format, o)
}

// decoded reads at most limit bytes of a part, its transfer encoding undone.
func (b *openMessage) decoded(i int, limit int64) ([]byte, error) {
	p := &b.msg.Parts[i]
	r, err := message.NewDecoder(io.NewSectionReader(b.body, p.BodyStart, p.Size()), p.Encoding)
	if err != nil {
		r = io.NewSectionReader(b.body, p.BodyStart, p.Size())
	}
	return io.ReadAll(io.LimitReader(r, limit))
}

// maxInline bounds an image inside of a message.
const maxInline = 32 << 20

// inline reads a part that is a picture.
func (s *Server) inline(ctx context.Context, g signed) (kind string, data []byte, err error) {
	none := &mail.Error{Kind: mail.NotFound, Op: "web.inline", Text: "there is no such image"}
	b, err := s.open(ctx, g)
	if err != nil {
		return "", nil, err
	}
	defer b.Close()
	if g.part >= len(b.msg.Parts) || b.msg.Parts[g.part].IsMultipart() {
		return "", nil, none
	}
	if data, err = b.decoded(g.part, maxInline); err != nil {
		return "", nil, err
	}
	if kind = proxy.Raster(data); kind == "" {
		return "", nil, none
	}
	return kind, data, nil
}
