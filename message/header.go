package message

import (
	"bytes"
	"iter"
	"strings"
)

// A Header is a header section: its bytes and where its fields lie. Names
// compare without regard to case. The zero Header is empty.
type Header struct {
	raw       []byte
	fields    []field
	limit     int // bytes of a field that are looked at
	addresses int // addresses of a field that are kept
}

// A field is one header field as offsets into the section: the name is
// raw[start:nameEnd], the value (with its line ends) raw[value:end].
type field struct{ start, nameEnd, value, end int32 }

// ParseHeader indexes a header section. It ends at the first empty line or at
// the end of b. Header keeps b, which must not change afterwards.
func ParseHeader(b []byte, l Limits) Header {
	l = l.withDefaults()
	return indexHeader(b[:min(len(b), l.HeaderBytes)], l, nil)
}

// indexHeader finds the fields of raw. A line without a colon is kept by no
// field; a line that starts with white space continues the one before it.
func indexHeader(raw []byte, l Limits, fields []field) Header {
	lines := 0
	open := false // the last field may be continued
	for at := 0; at < len(raw) && lines < l.HeaderLines; lines++ {
		end := at + bytes.IndexByte(raw[at:], '\n') + 1
		if end == at {
			end = len(raw)
		}
		line := raw[at:end]
		switch c := line[0]; {
		case c == '\n' || c == '\r' && len(line) == 2:
			return Header{raw, fields, l.FieldBytes, l.Addresses}
		case c == ' ' || c == '\t':
			if open {
				fields[len(fields)-1].end = int32(end)
			}
		default:
			var f field
			if f, open = splitField(line, at); open {
				fields = append(fields, f)
			}
		}
		at = end
	}
	return Header{raw, fields, l.FieldBytes, l.Addresses}
}

// splitField splits the first line of a field, which lies at offset at. White
// space before the colon is obsolete but accepted (RFC 5322 §4.5).
func splitField(line []byte, at int) (field, bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return field{}, false
	}
	name := colon
	for name > 0 && isWSP(line[name-1]) {
		name--
	}
	if name == 0 || bytes.IndexByte(line[:name], ' ') >= 0 { // "From a@b Mon Nov 23 06:00" of an mbox is no field
		return field{}, false
	}
	return field{int32(at), int32(at + name), int32(at + colon + 1), int32(at + len(line))}, true
}

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Raw returns the bytes of the section as far as they were interpreted.
func (h *Header) Raw() []byte { return h.raw }

// All yields the fields in their order: name as written, value as RawValue
// gives it.
func (h *Header) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, f := range h.fields {
			if !yield(string(h.raw[f.start:f.nameEnd]), h.value(f)) {
				return
			}
		}
	}
}

// Unparsed yields the fields in their order: name as written, and all that stands
// between its colon and the end of its last line, white space and folds included.
func (h *Header) Unparsed() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, f := range h.fields {
			v := h.raw[f.value:f.end]
			v = bytes.TrimSuffix(bytes.TrimSuffix(v, []byte{'\n'}), []byte{'\r'})
			if len(v) > h.limit {
				v = v[:h.limit]
			}
			if !yield(string(h.raw[f.start:f.nameEnd]), v) {
				return
			}
		}
	}
}

// Count returns the number of fields called name.
func (h *Header) Count(name string) int {
	n := 0
	for _, f := range h.fields {
		if h.named(f, name) {
			n++
		}
	}
	return n
}

// Has reports whether there is a field called name.
func (h *Header) Has(name string) bool {
	_, ok := h.find(name)
	return ok
}

// RawValue returns the value of the first field called name without the white
// space around it; line ends of a folded field are still in it. It is nil if
// there is no such field, and never nil if there is.
func (h *Header) RawValue(name string) []byte {
	f, ok := h.find(name)
	if !ok {
		return nil
	}
	return h.value(f)
}

// Value returns the unfolded value of the first field called name, or "".
func (h *Header) Value(name string) string { return unfold(h.RawValue(name)) }

// Values returns the unfolded values of all fields called name.
func (h *Header) Values(name string) []string {
	var vs []string
	for _, f := range h.fields {
		if h.named(f, name) {
			vs = append(vs, unfold(h.value(f)))
		}
	}
	return vs
}

// RawValues yields the values of all fields called name, each as RawValue gives
// it.
func (h *Header) RawValues(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, f := range h.fields {
			if h.named(f, name) && !yield(h.value(f)) {
				return
			}
		}
	}
}

// Text returns the value of the first field called name, unfolded and with its
// encoded words decoded (RFC 2047), as UTF-8.
func (h *Header) Text(name string) string { return DecodeHeader(h.RawValue(name)) }

func (h *Header) find(name string) (field, bool) {
	for _, f := range h.fields {
		if h.named(f, name) {
			return f, true
		}
	}
	return field{}, false
}

func (h *Header) named(f field, name string) bool {
	return int(f.nameEnd-f.start) == len(name) && equalFold(h.raw[f.start:f.nameEnd], name)
}

func (h *Header) value(f field) []byte {
	v := h.raw[f.value:f.end]
	if len(v) > h.limit {
		v = v[:h.limit]
	}
	return trimSpace(v)
}

// equalFold compares ASCII letters without regard to case; len(b) == len(s).
func equalFold(b []byte, s string) bool {
	for i := range len(s) {
		if b[i] != s[i] && lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trimSpace cuts white space at both ends; the result is nil only if b is.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// unfold removes the line ends of a folded value (RFC 5322 §2.2.3). A CR that is
// none becomes a space: the result is one line.
func unfold(b []byte) string {
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return string(b)
	}
	var s strings.Builder
	s.Grow(len(b))
	for i, c := range b {
		switch {
		case c == '\n' || c == '\r' && i+1 < len(b) && b[i+1] == '\n':
		case c == '\r':
			s.WriteByte(' ')
		default:
			s.WriteByte(c)
		}
	}
	return s.String()
}

// AppendHeaderFields appends the fields of the header section b whose name is
// one of names, or is none of them if not is set, and then an empty line: the
// answer to BODY[HEADER.FIELDS (…)], RFC 9051 §6.4.5. Fields keep their order
// and their exact bytes.
func AppendHeaderFields(dst, b []byte, names []string, not bool) []byte {
	keep := false
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			end = len(b)
		}
		line := b[:end]
		if line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n' {
			break
		}
		if !isWSP(line[0]) {
			keep = fieldNamed(line, names) != not
		}
		if keep {
			dst = append(dst, line...)
			if line[end-1] != '\n' {
				dst = append(dst, '\r', '\n')
			}
		}
		b = b[end:]
	}
	return append(dst, '\r', '\n')
}

// fieldNamed reports whether line is the first line of a field called one of
// names.
func fieldNamed(line []byte, names []string) bool {
	field := fieldName(line)
	for _, name := range names {
		if len(name) == len(field) && equalFold(field, name) {
			return true
		}
	}
	return false
}

// fieldName returns the name in the first line of a field.
func fieldName(line []byte) []byte {
	n := bytes.IndexByte(line, ':')
	if n < 0 {
		n = len(trimSpace(line))
	}
	for n > 0 && isWSP(line[n-1]) {
		n--
	}
	return line[:n]
}
