package message

import "strconv"

// AppendEnvelope appends the ENVELOPE of m, RFC 3501 §7.4.2. It is known only
// after parsing; a Message from ParseTable has an envelope without any field.
func (m *Message) AppendEnvelope(dst []byte) []byte {
	return appendEnvelope(dst, &m.Header, m.limits.withDefaults())
}

// AppendBody appends BODY, the body structure without extension data, RFC 3501
// §7.4.2.
func (m *Message) AppendBody(dst []byte) []byte { return m.appendStructure(dst, 0, false) }

// AppendBodyStructure appends BODYSTRUCTURE, RFC 3501 §7.4.2.
func (m *Message) AppendBodyStructure(dst []byte) []byte { return m.appendStructure(dst, 0, true) }

// What stands where a body must stand and there is none: a multipart without
// parts, a message that was not looked into. Clients rely on at least one body
// (c-client crashes on an empty list).
const (
	emptyBody      = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)`
	emptyStructure = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)`
	emptyEnvelope  = `(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)`
)

// appendStructure writes part i and the parts inside it; recursion is bounded by
// Limits.Depth, which held when the parts were made.
func (m *Message) appendStructure(dst []byte, i int, ext bool) []byte {
	p := &m.Parts[i]
	dst = append(dst, '(')
	if p.IsMultipart() {
		dst = m.appendMultipart(dst, i, ext)
	} else {
		dst = m.appendLeaf(dst, i, ext)
	}
	if ext {
		dst = append(dst, ' ')
		dst = appendDisposition(dst, p)
		dst = append(dst, ' ')
		dst = appendLanguages(dst, p.Languages)
		dst = append(dst, ' ')
		dst = appendOptional(dst, p.Location)
	}
	return append(dst, ')')
}

// appendMultipart writes body-type-mpart up to its parameters, RFC 3501 §9.
func (m *Message) appendMultipart(dst []byte, i int, ext bool) []byte {
	p := &m.Parts[i]
	for c := range m.ChildrenOf(i) {
		dst = m.appendStructure(dst, c, ext)
	}
	if p.Children == 0 {
		dst = appendEmptyBody(dst, ext)
	}
	dst = append(dst, ' ')
	dst = appendString(dst, p.Subtype)
	if ext {
		dst = append(dst, ' ')
		dst = appendParams(dst, p.Params)
	}
	return dst
}

func appendEmptyBody(dst []byte, ext bool) []byte {
	if ext {
		return append(dst, emptyStructure...)
	}
	return append(dst, emptyBody...)
}

// appendLeaf writes body-type-basic, -msg or -text up to its MD5, RFC 3501 §9.
func (m *Message) appendLeaf(dst []byte, i int, ext bool) []byte {
	p := &m.Parts[i]
	dst = appendString(dst, p.Type)
	dst = append(dst, ' ')
	dst = appendString(dst, p.Subtype)
	dst = append(dst, ' ')
	if p.IsText() {
		dst = appendTextParams(dst, p.Params)
	} else {
		dst = appendParams(dst, p.Params)
	}
	dst = append(dst, ' ')
	dst = appendOptional(dst, p.ID)
	dst = append(dst, ' ')
	dst = appendOptional(dst, p.Description)
	dst = append(dst, ' ')
	dst = appendString(dst, p.Encoding)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.Size(), 10)
	switch {
	case p.IsText():
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	case p.IsMessage():
		dst = append(dst, ' ')
		dst = m.appendAttached(dst, i, ext)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	}
	if ext {
		dst = append(dst, ' ')
		dst = appendOptional(dst, p.MD5)
	}
	return dst
}

// appendAttached writes the envelope and the structure of an attached message.
func (m *Message) appendAttached(dst []byte, i int, ext bool) []byte {
	if m.Parts[i].Children == 0 {
		dst = append(dst, emptyEnvelope+" "...)
		return appendEmptyBody(dst, ext)
	}
	if env := m.Parts[i+1].envelope; env != nil {
		dst = append(dst, env...)
	} else {
		dst = append(dst, emptyEnvelope...)
	}
	dst = append(dst, ' ')
	return m.appendStructure(dst, i+1, ext)
}

func appendParams(dst []byte, ps []Param) []byte {
	if len(ps) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, p := range ps {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendString(dst, p.Name)
		dst = append(dst, ' ')
		dst = appendString(dst, p.Value)
	}
	return append(dst, ')')
}

// appendTextParams writes the parameters of a text part, which always has a
// charset, RFC 2045 §5.2.
func appendTextParams(dst []byte, ps []Param) []byte {
	for _, p := range ps {
		if p.Name == "charset" || p.Name == "charset*" {
			return appendParams(dst, ps)
		}
	}
	if len(ps) == 0 {
		return append(dst, `("charset" "us-ascii")`...)
	}
	dst = appendParams(dst, ps)
	return append(dst[:len(dst)-1], ` "charset" "us-ascii")`...)
}

func appendDisposition(dst []byte, p *Part) []byte {
	if p.Disposition == "" {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	dst = appendString(dst, p.Disposition)
	dst = append(dst, ' ')
	dst = appendParams(dst, p.DispositionParams)
	return append(dst, ')')
}

func appendLanguages(dst []byte, tags []string) []byte {
	if len(tags) == 0 {
		return append(dst, "NIL"...)
	}
	for i, t := range tags {
		dst = append(dst, " ("[b2i(i == 0)])
		dst = appendString(dst, t)
	}
	return append(dst, ')')
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// appendOptional writes nstring, RFC 3501 §9: NIL for what was not given.
func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "NIL"...)
	}
	return appendString(dst, s)
}

// maxQuoted is how long a quoted string may be: clients read lines of some
// length only.
const maxQuoted = 1000

// appendString writes string, RFC 3501 §9: quoted where it is short and of
// printable ASCII, else a literal. NUL may not stand in either and is left out.
func appendString[S string | []byte](dst []byte, s S) []byte {
	special, nul := false, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0:
			nul++
			special = true
		case c < ' ' && c != '\t' || c > '~':
			special = true
		}
	}
	if !special && len(s) <= maxQuoted {
		dst = append(dst, '"')
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, s[i])
		}
		return append(dst, '"')
	}
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, int64(len(s)-nul), 10)
	dst = append(dst, "}\r\n"...)
	if nul == 0 {
		return append(dst, s...)
	}
	for i := range len(s) {
		if s[i] != 0 {
			dst = append(dst, s[i])
		}
	}
	return dst
}
