package wire

import (
	"strings"
	"unicode/utf8"

	"posthouse/mail"
)

// A Param is one ESMTP parameter of MAIL or RCPT, RFC 5321 §4.1.2. Keyword is in
// upper case; HasValue tells "BODY" from "BODY=".
type Param struct {
	Keyword, Value string
	HasValue       bool
}

// Params are the parameters of one command in their order, each keyword once.
type Params []Param

// Lookup returns the parameter named keyword (upper case).
func (p Params) Lookup(keyword string) (Param, bool) {
	for _, q := range p {
		if q.Keyword == keyword {
			return q, true
		}
	}
	return Param{}, false
}

// maxParams is far more than the parameters that exist.
const maxParams = 32

// ParseParams parses esmtp-params, RFC 5321 §4.1.2. A keyword given twice is an
// error: no extension allows it.
func ParseParams(s string) (Params, error) {
	var ps Params
	for field := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ' ' || r == '\t' }) {
		var p Param
		p.Keyword, p.Value, p.HasValue = strings.Cut(field, "=")
		p.Keyword = strings.ToUpper(p.Keyword)
		if !isKeyword(p.Keyword) || !isParamValue(p.Value) {
			return nil, errSyntax("bad parameter")
		}
		if _, twice := ps.Lookup(p.Keyword); twice {
			return nil, errSyntax("parameter " + p.Keyword + " given twice")
		}
		if len(ps) == maxParams {
			return nil, errSyntax("too many parameters")
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func isKeyword(s string) bool {
	if s == "" || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if !isLDH(s[i]) {
			return false
		}
	}
	return true
}

func isParamValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// notifyWords are the values of NOTIFY, RFC 3461 §4.1.
var notifyWords = [...]struct {
	word string
	mask mail.NotifyMask
}{
	{"NEVER", mail.NotifyNever},
	{"SUCCESS", mail.NotifySuccess},
	{"FAILURE", mail.NotifyFailure},
	{"DELAY", mail.NotifyDelay},
}

// ParseNotify parses the value of NOTIFY, RFC 3461 §4.1: NEVER alone, or a list.
func ParseNotify(value string) (mail.NotifyMask, error) {
	var m mail.NotifyMask
	for word := range strings.SplitSeq(value, ",") {
		bit := mail.NotifyMask(0)
		for _, w := range notifyWords {
			if strings.EqualFold(word, w.word) {
				bit = w.mask
			}
		}
		if bit == 0 {
			return 0, errSyntax("bad NOTIFY")
		}
		m |= bit
	}
	if m&mail.NotifyNever != 0 && m != mail.NotifyNever {
		return 0, errSyntax("NOTIFY=NEVER must stand alone")
	}
	return m, nil
}

// AppendNotify appends the value of NOTIFY for m, which is not zero.
func AppendNotify(dst []byte, m mail.NotifyMask) []byte {
	sep := ""
	for _, w := range notifyWords {
		if m&w.mask != 0 {
			dst = append(append(dst, sep...), w.word...)
			sep = ","
		}
	}
	return dst
}

// ParseRet parses the value of RET, RFC 3461 §4.3.
func ParseRet(value string) (full bool, err error) {
	switch {
	case strings.EqualFold(value, "FULL"):
		return true, nil
	case strings.EqualFold(value, "HDRS"):
		return false, nil
	}
	return false, errSyntax("RET is FULL or HDRS")
}

// bodyWords are the values of BODY by [mail.BodyType], RFC 6152 §2 and RFC 3030 §3.
var bodyWords = [...]string{mail.Body7Bit: "7BIT", mail.Body8BitMIME: "8BITMIME", mail.BodyBinaryMIME: "BINARYMIME"}

// ParseBody parses the value of BODY.
func ParseBody(value string) (mail.BodyType, error) {
	for i, w := range bodyWords {
		if strings.EqualFold(value, w) {
			return mail.BodyType(i), nil
		}
	}
	return 0, errSyntax("bad BODY")
}

// BodyWord is the spelling of b in the BODY parameter.
func BodyWord(b mail.BodyType) string { return bodyWords[b] }
