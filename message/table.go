package message

import (
	"encoding/binary"
	"math"
	"slices"

	"posthouse/internal/codec"
	"posthouse/mail"
)

// tableVersion is the first byte of a part table. Another layout gets another
// number, and ParseTable goes on to read the old ones.
const tableVersion = 1

// Bits of a part in the table that say which optional fields follow.
const (
	hasParams = 1 << iota
	hasID
	hasDescription
	hasMD5
	hasLocation
	hasLanguages
	hasDisposition
	hasEnvelope
)

// tableWords are strings that the table writes as one byte. The list is part of
// the format: append to it, never change it.
var tableWords = [...]string{"", "text", "plain", "html", "7bit", "8bit", "base64", "quoted-printable",
	"binary", "charset", "utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1", "ISO-8859-1",
	"windows-1252", "multipart", "mixed", "alternative", "related", "signed", "report", "digest",
	"boundary", "message", "rfc822", "application", "pdf", "octet-stream", "image", "png", "jpeg", "gif",
	"name", "filename", "filename*", "attachment", "inline", "format", "flowed", "delsp", "yes",
	"calendar", "pgp-signature", "delivery-status", "type", "method"}

var tableWordIndex = wordIndex(tableWords[:])

func wordIndex(words []string) map[string]uint64 {
	m := make(map[string]uint64, len(words))
	for i, w := range words {
		m[w] = uint64(i)
	}
	return m
}

// AppendTable appends the part table of m in a compact form that ParseTable
// reads: where everything lies, and what BODY and BODYSTRUCTURE say. The header
// of the message itself is not in it.
func (m *Message) AppendTable(dst []byte) []byte {
	dst = append(dst, tableVersion)
	dst = binary.AppendUvarint(dst, uint64(m.Size))
	dst = binary.AppendUvarint(dst, uint64(len(m.Parts)))
	at := int64(0) // offsets are mostly short ways from here
	for i := range m.Parts {
		p := &m.Parts[i]
		dst = binary.AppendVarint(dst, p.HeaderStart-at)
		dst = binary.AppendUvarint(dst, uint64(p.BodyStart-p.HeaderStart))
		dst = binary.AppendUvarint(dst, uint64(p.BodyEnd-p.BodyStart))
		dst = binary.AppendUvarint(dst, uint64(p.Lines))
		dst = binary.AppendUvarint(dst, uint64(p.Children))
		dst = appendPartStrings(dst, p)
		at = p.BodyEnd
		if p.Children > 0 {
			at = p.BodyStart
		}
	}
	return dst
}

func appendPartStrings(dst []byte, p *Part) []byte {
	var has byte
	for i, there := range [...]bool{len(p.Params) > 0, p.ID != "", p.Description != "", p.MD5 != "",
		p.Location != "", len(p.Languages) > 0, p.Disposition != "", p.envelope != nil} {
		has |= byte(b2i(there)) << i
	}
	dst = append(dst, has)
	dst = appendWord(dst, p.Type)
	dst = appendWord(dst, p.Subtype)
	dst = appendWord(dst, p.Encoding)
	if has&hasParams != 0 {
		dst = appendParamWords(dst, p.Params)
	}
	for i, s := range [...]string{p.ID, p.Description, p.MD5, p.Location} {
		if has&(hasID<<i) != 0 {
			dst = appendWord(dst, s)
		}
	}
	if has&hasLanguages != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(p.Languages)))
		for _, l := range p.Languages {
			dst = appendWord(dst, l)
		}
	}
	if has&hasDisposition != 0 {
		dst = appendWord(dst, p.Disposition)
		dst = appendParamWords(dst, p.DispositionParams)
	}
	if has&hasEnvelope != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(p.envelope)))
		dst = append(dst, p.envelope...)
	}
	return dst
}

func appendParamWords(dst []byte, ps []Param) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ps)))
	for _, q := range ps {
		dst = appendWord(dst, q.Name)
		dst = appendWord(dst, q.Value)
	}
	return dst
}

// appendWord writes a string: an odd number is the index of a table word, an
// even one twice the length of the bytes that follow.
func appendWord(dst []byte, s string) []byte {
	if i, ok := tableWordIndex[s]; ok {
		return binary.AppendUvarint(dst, i<<1|1)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s))<<1)
	return append(dst, s...)
}

// ParseTable reads what AppendTable wrote. Its error is of kind Corrupt; a
// Message that it returns is consistent, whatever b was: its offsets are inside
// the message and its parts inside each other. b is not kept.
func ParseTable(b []byte) (*Message, error) {
	r := tableReader{Decoder: codec.Decode(string(b))}
	if r.Byte() != tableVersion {
		return nil, corruptTable("unknown version")
	}
	m := &Message{Size: r.offset(math.MaxInt64)}
	n := r.Count(minPart)
	if r.Bad() || n == 0 {
		return nil, corruptTable("bad part count")
	}
	m.Parts = make([]Part, n)
	r.spare = make([]Param, 0, min(2*n, 64))
	at := int64(0)
	for i := range m.Parts {
		p := &m.Parts[i]
		p.HeaderStart = at + r.Varint()
		p.BodyStart = p.HeaderStart + r.offset(m.Size)
		p.BodyEnd = p.BodyStart + r.offset(m.Size)
		p.Lines = r.offset(math.MaxInt64)
		p.Children = int32(r.Count(minPart))
		r.partStrings(p)
		if r.Bad() || p.HeaderStart < 0 || p.BodyStart < p.HeaderStart || p.BodyEnd < p.BodyStart || p.BodyEnd > m.Size {
			return nil, corruptTable("bad part")
		}
		at = p.BodyEnd
		if p.Children > 0 {
			at = p.BodyStart
		}
	}
	if !m.link() || r.Len() > 0 {
		return nil, corruptTable("parts do not fit together")
	}
	return m, nil
}

// TableTop reads from what AppendTable wrote only where the header section and the
// body of the message itself lie; it allocates nothing. Its error is of kind
// Corrupt.
func TableTop(b []byte) (header, body Range, err error) {
	if len(b) == 0 || b[0] != tableVersion {
		return header, body, corruptTable("unknown version")
	}
	d := codec.Decode(b[1:])
	var v [5]uint64 // size, number of parts, and of the first part the beginning (signed) and two lengths
	for i := range v {
		v[i] = d.UpTo(math.MaxInt64)
	}
	if d.Bad() {
		return header, body, corruptTable("bad part")
	}
	size := v[0]
	if v[1] == 0 || v[2] != 0 || v[3] > size || v[4] > size-v[3] {
		return header, body, corruptTable("bad part")
	}
	return Range{0, int64(v[3])}, Range{int64(v[3]), int64(v[3] + v[4])}, nil
}

func corruptTable(text string) error {
	return &mail.Error{Kind: mail.Corrupt, Op: "message.ParseTable", Text: text}
}

// link finds Parent and Next of each part from the numbers of children. It is
// false if the parts make no tree of bearable depth.
func (m *Message) link() bool {
	type level struct{ index, left, last int32 }
	var stack []level
	for i := range m.Parts {
		p := &m.Parts[i]
		p.Parent = -1
		if i > 0 {
			for len(stack) > 0 && stack[len(stack)-1].left == 0 {
				stack = stack[:len(stack)-1]
			}
			if len(stack) == 0 || len(stack) > maxDepth {
				return false
			}
			up := &stack[len(stack)-1]
			if p.Parent = up.index; up.last > 0 {
				m.Parts[up.last].Next = int32(i)
			}
			up.last = int32(i)
			up.left--
		}
		if p.Children > 0 {
			if !p.IsMultipart() && (!p.IsMessage() || p.Children != 1) {
				return false
			}
			stack = append(stack, level{index: int32(i), left: p.Children})
		}
	}
	for _, l := range stack {
		if l.left > 0 {
			return false
		}
	}
	return true
}

// The least bytes that a part, a parameter and a string take: a count that
// promises more than the bytes can hold is refused before memory is taken.
const (
	minPart  = 9
	minParam = 2
	minWord  = 1
)

// A tableReader reads a table.
type tableReader struct {
	codec.Decoder[string]
	spare []Param // memory for the parameters of many parts
}

// offset reads a number of at most limit.
func (r *tableReader) offset(limit int64) int64 { return int64(r.UpTo(uint64(limit))) }

func (r *tableReader) word() string {
	v := r.Uvarint()
	if v&1 == 0 {
		return r.Take(v >> 1)
	}
	if v>>1 >= uint64(len(tableWords)) {
		r.Fail()
		return ""
	}
	return tableWords[v>>1]
}

func (r *tableReader) params() []Param {
	start := len(r.spare)
	for range r.Count(minParam) {
		r.spare = append(r.spare, Param{r.word(), r.word()})
	}
	return slices.Clip(r.spare[start:])
}

func (r *tableReader) partStrings(p *Part) {
	has := r.Byte()
	p.Type, p.Subtype, p.Encoding = r.word(), r.word(), r.word()
	if has&hasParams != 0 {
		p.Params = r.params()
	}
	for i, s := range [...]*string{&p.ID, &p.Description, &p.MD5, &p.Location} {
		if has&(hasID<<i) != 0 {
			*s = r.word()
		}
	}
	if has&hasLanguages != 0 {
		p.Languages = make([]string, r.Count(minWord))
		for i := range p.Languages {
			p.Languages[i] = r.word()
		}
	}
	if has&hasDisposition != 0 {
		p.Disposition, p.DispositionParams = r.word(), r.params()
	}
	if has&hasEnvelope != 0 {
		p.envelope = []byte(r.Bytes())
	}
}
