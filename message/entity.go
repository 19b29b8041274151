package message

import (
	"bytes"
	"strings"
)

// finishHeader ends the header section of the innermost open part: what it says
// about the part is read, and a part that can hold others is opened for them.
func (p *Parser) finishHeader(bodyStart, lines int64) {
	p.inHeader = false
	o := &p.open[len(p.open)-1]
	o.lines = lines
	h := indexHeader(p.hdr, p.lim, p.fields[:0])
	p.fields = h.fields
	part := &p.m.Parts[o.index]
	part.BodyStart = bodyStart
	if o.index == 0 {
		p.m.Header = Header{append([]byte(nil), h.raw...), append([]field(nil), h.fields...), h.limit, h.addresses}
	}
	delimiter := p.describe(part, &h)
	if part.Parent >= 0 && p.m.Parts[part.Parent].IsMessage() {
		p.scratch = appendEnvelope(p.scratch[:0], &h, p.lim)
		part.envelope = bytes.Clone(p.scratch)
	}
	p.charge(part)
	switch room := len(p.open) <= p.lim.Depth; {
	case delimiter != "" && room:
		p.bounds = append(p.bounds, boundary{delimiter, len(p.open) - 1})
	case part.IsMessage() && room && len(p.m.Parts) < p.lim.Parts:
		p.startPart(bodyStart)
	case p.text < 0 && part.IsText() && part.Disposition != "attachment":
		p.startPrefix(o.index, part)
	}
}

// startPrefix begins to keep the text of a part for the preview.
func (p *Parser) startPrefix(i int32, part *Part) {
	switch part.Subtype {
	case "html":
		p.room = htmlPrefix
	case "calendar":
		return
	default:
		p.room = plainPrefix
	}
	p.text = i
}

// describe reads the MIME fields of a header section into part. For a multipart
// it returns the delimiter, "--" and the boundary.
func (p *Parser) describe(part *Part, h *Header) (delimiter string) {
	p.contentType(part, h)
	if part.Type == "multipart" {
		b := strings.TrimRight(paramText(part.Params, "boundary"), " \t")
		if b == "" || len(b) > p.lim.Boundary {
			part.Type, part.Subtype, part.Params = "text", "plain", nil
		} else {
			delimiter = "--" + b
		}
	}
	part.Encoding = "7bit"
	if v := h.RawValue("Content-Transfer-Encoding"); v != nil {
		x := lexer{b: v}
		x.skip()
		if e := x.run(notToken); len(e) > 0 {
			part.Encoding = internLower(e)
		}
	}
	part.ID = h.Value("Content-ID")
	part.Description = h.Value("Content-Description")
	part.MD5 = h.Value("Content-MD5")
	part.Location = strings.Join(strings.Fields(h.Value("Content-Location")), "")
	part.Languages = parseLanguages(h.RawValue("Content-Language"), p.lim)
	if v := h.RawValue("Content-Disposition"); v != nil {
		part.Disposition, part.DispositionParams = parseDisposition(v, p.lim)
	}
	return delimiter
}

// contentType reads the media type, or sets the default: text/plain, and inside
// multipart/digest message/rfc822 (RFC 2046 §5.1.5).
func (p *Parser) contentType(part *Part, h *Header) {
	if v := h.RawValue("Content-Type"); v != nil {
		if t, s, ps, ok := parseMediaType(v, p.lim); ok {
			part.Type, part.Subtype, part.Params = t, s, ps
			return
		}
	} else if part.Parent >= 0 {
		if up := &p.m.Parts[part.Parent]; up.Type == "multipart" && up.Subtype == "digest" {
			part.Type, part.Subtype = "message", "rfc822"
			return
		}
	}
	part.Type, part.Subtype = "text", "plain"
}

// parseLanguages reads the tags of Content-Language, RFC 3282 §2.
func parseLanguages(v []byte, l Limits) []string {
	var tags []string
	x := lexer{b: v}
	for x.skip(); x.more() && len(tags) < l.Params; x.skip() {
		if tag := x.run(notToken); len(tag) > 0 {
			tags = append(tags, string(tag))
			continue
		}
		x.i++
	}
	return tags
}

// charge counts what part keeps of the message against the limit. Over it, only
// what is needed to find the part is kept.
func (p *Parser) charge(part *Part) {
	n := len(part.ID) + len(part.Description) + len(part.MD5) + len(part.Location) +
		len(part.Type) + len(part.Subtype) + len(part.Encoding) + len(part.Disposition) + len(part.envelope)
	for _, l := range part.Languages {
		n += len(l) + 16
	}
	for _, q := range part.Params {
		n += len(q.Name) + len(q.Value) + 32
	}
	for _, q := range part.DispositionParams {
		n += len(q.Name) + len(q.Value) + 32
	}
	if p.memory += n; p.memory <= p.lim.Memory {
		return
	}
	p.memory -= n
	part.ID, part.Description, part.MD5, part.Location = "", "", "", ""
	part.Params, part.DispositionParams, part.Languages, part.envelope = nil, nil, nil, nil
	if n > 256 {
		part.Type, part.Subtype = cutWordTo(part.Type, 32), cutWordTo(part.Subtype, 32)
		part.Encoding, part.Disposition = cutWordTo(part.Encoding, 32), cutWordTo(part.Disposition, 32)
	}
}

func cutWordTo(s string, n int) string { return strings.Clone(s[:min(n, len(s))]) }
