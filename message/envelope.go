package message

import "bytes"

// appendEnvelope writes the ENVELOPE of a message with header h, RFC 3501 §7.4.2.
// Sender and Reply-To that are missing or empty are as From.
func appendEnvelope(dst []byte, h *Header, l Limits) []byte {
	dst = append(dst, '(')
	dst = appendUnstructured(dst, h.RawValue("Date"))
	dst = append(dst, ' ')
	dst = appendUnstructured(dst, h.RawValue("Subject"))
	dst = append(dst, ' ')
	var b [5][64]byte // most names and addresses are short
	x := addressLexer{lexer: lexer{keep: true, comment: b[0][:0]}, name: b[1][:0], words: b[4][:0], local: b[2][:0], domain: b[3][:0]}
	start := len(dst)
	dst = x.appendList(dst, h, "From", l.Addresses)
	from := dst[start:]
	for _, name := range [...]string{"Sender", "Reply-To"} {
		dst = append(dst, ' ')
		n := len(dst)
		if dst = x.appendList(dst, h, name, l.Addresses); bytes.Equal(dst[n:], nilWord) {
			dst = append(dst[:n], from...)
		}
	}
	for _, name := range [...]string{"To", "Cc", "Bcc"} {
		dst = append(dst, ' ')
		dst = x.appendList(dst, h, name, l.Addresses)
	}
	dst = append(dst, ' ')
	dst = appendUnstructured(dst, h.RawValue("In-Reply-To"))
	dst = append(dst, ' ')
	dst = appendUnstructured(dst, h.RawValue("Message-ID"))
	return append(dst, ')')
}

var nilWord = []byte("NIL")

// appendUnstructured writes a field's text as nstring: unfolded, each run of
// white space with a line end in it one space, as clients show it.
func appendUnstructured(dst, v []byte) []byte {
	if v == nil {
		return append(dst, nilWord...)
	}
	if bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return appendString(dst, v)
	}
	return appendString(dst, collapse(v))
}

// collapse makes one line of a folded value.
func collapse(v []byte) []byte {
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if !isSpace(v[i]) {
			out = append(out, v[i])
			continue
		}
		j, folded := i, false
		for ; j < len(v) && isSpace(v[j]); j++ {
			folded = folded || v[j] == '\n' || v[j] == '\r'
		}
		if folded {
			out = append(out, ' ')
		} else {
			out = append(out, v[i:j]...)
		}
		i = j - 1
	}
	return out
}

// appendList writes the addresses of all fields called name as one list, NIL if
// there are none.
func (x *addressLexer) appendList(dst []byte, h *Header, name string, limit int) []byte {
	start, n := len(dst), 0
	dst = append(dst, '(')
	for _, f := range h.fields {
		if !h.named(f, name) {
			continue
		}
		x.b, x.i, x.inGroup = h.value(f), 0, false
		for n < limit && x.next() {
			dst = x.appendAddress(dst)
			n++
		}
		if x.inGroup { // the limit was reached inside a group
			x.endGroup()
			dst = x.appendAddress(dst)
		}
	}
	if n == 0 {
		return append(dst[:start], nilWord...)
	}
	return append(dst, ')')
}

// appendAddress writes an address, RFC 3501 §7.4.2: personal name, source route,
// mailbox, host. A host of NIL marks the start and end of a group, so a host
// that is missing needs a name: it is the one that Dovecot gives it.
func (x *addressLexer) appendAddress(dst []byte) []byte {
	switch x.kind {
	case groupStart:
		dst = append(dst, "(NIL NIL "...)
		dst = appendString(dst, x.name)
		return append(dst, " NIL)"...)
	case groupEnd:
		return append(dst, "(NIL NIL NIL NIL)"...)
	}
	dst = append(dst, '(')
	dst = appendNonEmpty(dst, x.name, "NIL")
	dst = append(dst, ' ')
	dst = appendNonEmpty(dst, x.route, "NIL")
	dst = append(dst, ' ')
	dst = appendNonEmpty(dst, x.local, `"MISSING_MAILBOX"`)
	dst = append(dst, ' ')
	dst = appendNonEmpty(dst, x.domain, `"MISSING_DOMAIN"`)
	return append(dst, ')')
}

func appendNonEmpty(dst, s []byte, otherwise string) []byte {
	if len(s) == 0 {
		return append(dst, otherwise...)
	}
	return appendString(dst, s)
}
