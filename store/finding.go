package store

import (
	"encoding/binary"
	"strings"

	"posthouse/internal/codec"
	"posthouse/mail"
)

// Bounds of what is kept of the checks of a message.
const (
	maxFindings    = 64
	maxFindingText = 500
)

// Findings are what the checks said when the message was delivered; nil if it came by
// another way.
func (e *Email) Findings() []mail.Finding {
	d := decoder{codec.Decode(e.findings)}
	var list []mail.Finding
	for d.Len() > 0 {
		f := mail.Finding{Check: string(d.Bytes()), Result: string(d.Bytes()), Text: string(d.Bytes()), Weight: int(d.Varint())}
		if d.Bad() {
			return list
		}
		list = append(list, f)
	}
	return list
}

// appendFindings encodes what is kept of list.
func appendFindings(dst []byte, list []mail.Finding) []byte {
	for i := range list[:min(len(list), maxFindings)] {
		f := &list[i]
		for _, s := range [...]string{f.Check, f.Result, f.Text} {
			dst = codec.AppendBytes(dst, strings.ToValidUTF8(s[:min(len(s), maxFindingText)], "?"))
		}
		dst = binary.AppendVarint(dst, int64(f.Weight))
	}
	return dst
}
