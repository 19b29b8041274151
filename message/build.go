package message

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An Entity is a message or a part of one that is being written: header fields
// and a body, or the parts of a multipart. Make one with Text, Attachment, Raw
// or Multipart; add fields with Set and its like; write it with Append. Line ends
// are CRLF and no line is longer than 998 bytes.
type Entity struct {
	header []byte // of the fields set by the caller
	mime   []byte // Content-Type and the other fields that the constructors write
	body   []byte // encoded
	parts  []*Entity
	bound  string
}

// Text returns a text part of the given subtype, UTF-8, in the encoding that
// suits it. Line ends may be LF or CRLF.
func Text(subtype, text string, params ...Param) *Entity {
	text = toCRLF(text)
	e := &Entity{}
	charset := Param{"charset", "utf-8"}
	if isASCIIString(text) {
		charset.Value = "us-ascii"
	}
	e.contentType("text/"+subtype, append([]Param{charset}, params...))
	e.encode(text)
	return e
}

// Attachment returns a part that holds a file, in base64.
func Attachment(mediaType, filename string, data []byte) *Entity {
	e := &Entity{}
	e.contentType(mediaType, []Param{{"name", filename}})
	e.mime = appendParamField(e.mime, "Content-Disposition", "attachment", []Param{{"filename", filename}})
	e.base64(data)
	return e
}

// Inline returns a part that text/html shows by its Content-ID, which is given
// without angle brackets.
func Inline(mediaType, contentID string, data []byte) *Entity {
	e := &Entity{}
	e.contentType(mediaType, nil)
	e.mime = appendParamField(e.mime, "Content-Disposition", "inline", nil)
	e.mime = appendRawField(e.mime, "Content-ID", "<"+contentID+">")
	e.base64(data)
	return e
}

// Raw returns a part whose body is written as it is: a message/rfc822, the
// fields of a message/delivery-status. Lines must be short enough; encoding is
// 7bit, 8bit or binary, and left out if it is "".
func Raw(mediaType, encoding string, body []byte, params ...Param) *Entity {
	e := &Entity{body: body}
	e.contentType(mediaType, params)
	if encoding != "" {
		e.mime = appendRawField(e.mime, "Content-Transfer-Encoding", encoding)
	}
	return e
}

// Multipart returns a multipart of the given subtype. The boundary, which
// NewBoundary makes, must not occur in the parts.
func Multipart(subtype, boundary string, parts []*Entity, params ...Param) *Entity {
	e := &Entity{parts: parts, bound: boundary}
	e.contentType("multipart/"+subtype, append(params, Param{"boundary", boundary}))
	return e
}

// NewBoundary makes a boundary from 15 bytes of random. It holds "=_", which
// neither base64 nor quoted-printable can contain.
func NewBoundary(random io.Reader) (string, error) {
	var b [15]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return "=_" + base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// NewMessageID makes a msg-id, with its angle brackets, from the time and 10
// bytes of random.
func NewMessageID(random io.Reader, now time.Time, domain string) (string, error) {
	var b [10]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return "<" + strconv.FormatInt(now.UnixMilli(), 36) + "." + hex.EncodeToString(b[:]) + "@" + domain + ">", nil
}

// Set adds an unstructured field, RFC 2047 encoded where it must be, and folded.
func (e *Entity) Set(name, value string) *Entity {
	e.header = appendUnstructuredField(e.header, name, value)
	return e
}

// SetRaw adds a field whose value is in its final form, folded at spaces: msg-ids,
// tokens, numbers. A word that no line can hold is left out.
func (e *Entity) SetRaw(name, value string) *Entity {
	e.header = appendRawField(e.header, name, value)
	return e
}

func appendRawField(dst []byte, name, value string) []byte {
	f := fieldWriter{dst: append(dst, name...)}
	f.start(name)
	for w := range strings.FieldsSeq(value) {
		if len(w) <= maxWordBytes {
			f.word(w)
		}
	}
	return f.end()
}

// SetDate adds a date field, RFC 5322 §3.3.
func (e *Entity) SetDate(name string, t time.Time) *Entity {
	return e.SetRaw(name, t.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
}

// SetAddresses adds an address field. A Group runs to the next Group or the end.
// Names are encoded where they must be; an address that is not ASCII is written as
// it is (RFC 6532) and makes the message one that needs SMTPUTF8.
func (e *Entity) SetAddresses(name string, list ...Mailbox) *Entity {
	f := fieldWriter{dst: append(e.header, name...)}
	f.start(name)
	inGroup := false
	for i, m := range list {
		end := ""
		switch next := i + 1; {
		case next == len(list):
			if inGroup || m.Group {
				end = ";"
			}
		case list[next].Group && (inGroup || m.Group):
			end = ";,"
		case !m.Group:
			end = ","
		}
		switch {
		case m.Group:
			inGroup = true
			appendPhrase(&f, m.Name, ":"+end)
		case m.Name == "":
			f.word(m.Address.String() + end)
		default:
			appendPhrase(&f, m.Name, "")
			f.word("<" + m.Address.String() + ">" + end)
		}
	}
	e.header = f.end()
	return e
}

// Append appends the message: the fields that were set, MIME-Version, and the
// body.
func (e *Entity) Append(dst []byte) []byte {
	dst = append(dst, e.header...)
	dst = append(dst, "MIME-Version: 1.0\r\n"...)
	return e.appendRest(dst)
}

func (e *Entity) appendRest(dst []byte) []byte {
	dst = append(dst, e.mime...)
	dst = append(dst, "\r\n"...)
	if e.bound == "" {
		return append(dst, e.body...)
	}
	for _, p := range e.parts {
		dst = append(dst, "--"+e.bound+"\r\n"...)
		dst = append(dst, p.header...)
		dst = p.appendRest(dst)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "--"+e.bound+"--\r\n"...)
}

func (e *Entity) contentType(mediaType string, params []Param) {
	e.mime = appendParamField(e.mime, "Content-Type", mediaType, params)
}

// encode writes text in the simplest encoding that is safe on its way.
func (e *Entity) encode(text string) {
	long, high := 0, 0
	line := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			line = 0
		case c >= utf8.RuneSelf || c < ' ' && c != '\r' && c != '\t':
			high++
		}
		line++
		long = max(long, line)
	}
	switch {
	case high == 0 && long < 998 && !strings.Contains(text, "\nFrom ") && !strings.HasPrefix(text, "From "):
		e.mime = append(e.mime, "Content-Transfer-Encoding: 7bit\r\n"...)
		e.body = []byte(text)
	case high*3 > len(text):
		e.base64([]byte(text))
	default:
		e.mime = append(e.mime, "Content-Transfer-Encoding: quoted-printable\r\n"...)
		e.body = appendQP(nil, text)
	}
}

func (e *Entity) base64(data []byte) {
	const line = 57 // bytes that make 76 characters
	e.mime = append(e.mime, "Content-Transfer-Encoding: base64\r\n"...)
	e.body = make([]byte, 0, len(data)*4/3+len(data)/line*2+8)
	for len(data) > 0 {
		n := min(line, len(data))
		e.body = base64.StdEncoding.AppendEncode(e.body, data[:n])
		e.body = append(e.body, "\r\n"...)
		data = data[n:]
	}
}

// appendQP writes text, whose line ends are CRLF, as quoted-printable.
func appendQP(dst []byte, text string) []byte {
	const hexDigits = "0123456789ABCDEF"
	col := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			dst, col = append(dst, "\r\n"...), 0
			i++
			continue
		}
		atEnd := i+1 == len(text) || text[i+1] == '\r'
		plain := c > ' ' && c <= '~' && c != '=' || (c == ' ' || c == '\t') && !atEnd
		if plain && (c == '.' && col == 0 || c == 'F' && col == 0 && strings.HasPrefix(text[i:], "From ")) {
			plain = false
		}
		width := 3 - 2*b2i(plain)
		if col+width > 75 {
			dst, col = append(dst, "=\r\n"...), 0
		}
		if plain {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		}
		col += width
	}
	return dst
}

func toCRLF(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

func isASCIIString(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Data returns a part that holds bytes, in base64, without saying how to show it.
func Data(mediaType string, data []byte, params ...Param) *Entity {
	e := &Entity{}
	e.contentType(mediaType, params)
	e.base64(data)
	return e
}

// SetDisposition says how to show a part (RFC 2183); filename may be "".
func (e *Entity) SetDisposition(kind, filename string) *Entity {
	var params []Param
	if filename != "" {
		params = []Param{{"filename", filename}}
	}
	e.mime = appendParamField(e.mime, "Content-Disposition", kind, params)
	return e
}

// SetUnparsed adds a field as it is given, folds included. The caller has seen to it
// that it is one field.
func (e *Entity) SetUnparsed(name, value string) *Entity {
	e.header = append(append(append(append(e.header, name...), ':'), value...), '\r', '\n')
	return e
}
