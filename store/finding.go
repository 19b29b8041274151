package store

import (
	"encoding/binary"
	"strings"

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
	d := decoder{b: e.findings}
	var list []mail.Finding
	for len(d.b) > 0 {
		f := mail.Finding{Check: string(d.bytes()), Result: string(d.bytes()), Text: string(d.bytes()), Weight: int(d.varint())}
		if d.bad {
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
			dst = appendText(dst, strings.ToValidUTF8(s[:min(len(s), maxFindingText)], "?"))
		}
		dst = binary.AppendVarint(dst, int64(f.Weight))
	}
	return dst
}
