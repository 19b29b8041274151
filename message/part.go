package message

import (
	"iter"
	"strings"
)

// A Message is what the parser learnt about a message.
type Message struct {
	// Size is the length of the message in bytes.
	Size int64

	// Parts holds the message itself, Parts[0], and the parts inside it, each
	// before what it contains. The message inside a message/rfc822 part is a
	// part of its own: its only child.
	Parts []Part

	// Header is the header section of the message itself. It is empty in a
	// Message that comes from ParseTable.
	Header Header

	limits  Limits
	preview string
}

// A Param is a parameter of Content-Type or Content-Disposition. Name is in lower
// case. The segments of RFC 2231 §3 are joined; a Name that ends in "*" says that
// Value is still in the encoded form of RFC 2231 §4, charset'language'text.
type Param struct{ Name, Value string }

// A Part is one entity of a message, RFC 2045 §2.4. Offsets count from the
// first byte of the message. Type, Subtype, Encoding and Disposition are in
// lower case.
type Part struct {
	HeaderStart int64 // first byte of the header section
	BodyStart   int64 // first byte after the empty line
	BodyEnd     int64 // end of the body; the line end before a boundary is not in it
	Lines       int64 // line ends in the body

	Parent   int32 // index in Message.Parts, -1 for the message itself
	Next     int32 // index of the next part with the same Parent, 0 if it is the last
	Children int32 // number of parts directly inside; the first is the next in Message.Parts

	Type, Subtype string // never empty; text/plain where nothing else was said
	Encoding      string // Content-Transfer-Encoding, "7bit" if not given
	Params        []Param

	ID          string // Content-ID as written, with its angle brackets
	Description string // Content-Description, unfolded, encoded words as written
	MD5         string
	Location    string
	Languages   []string

	Disposition       string // "" if not given
	DispositionParams []Param

	envelope []byte // of the message that begins with this part, as IMAP writes it; not for Parts[0]
}

// IsMultipart reports whether p is a multipart. One beyond a limit has no children.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// IsMessage reports whether p is a message/rfc822 part.
func (p *Part) IsMessage() bool { return p.Type == "message" && p.Subtype == "rfc822" }

// IsText reports whether p is of type text.
func (p *Part) IsText() bool { return p.Type == "text" }

// Size returns the length of the body in bytes, still encoded.
func (p *Part) Size() int64 { return p.BodyEnd - p.BodyStart }

// Param returns the decoded value of a Content-Type parameter as UTF-8, or "".
func (p *Part) Param(name string) string { return paramText(p.Params, name) }

// Charset returns the charset parameter in lower case, "" if there is none.
func (p *Part) Charset() string { return strings.ToLower(p.Param("charset")) }

// Filename returns the file name of an attachment as UTF-8: the filename of the
// disposition, or else the name of the content type; "" if there is none. It is
// as the sender wrote it: not fit as a path.
func (p *Part) Filename() string {
	if s := paramText(p.DispositionParams, "filename"); s != "" {
		return s
	}
	return paramText(p.Params, "name")
}

// IsAttachment reports whether p is, to a reader, a file beside the text: a leaf
// that is declared as one, has a file name, or is neither text nor shown inside
// other text.
func (p *Part) IsAttachment() bool {
	switch {
	case p.IsMultipart():
		return false
	case p.Disposition == "attachment":
		return true
	case p.Disposition == "inline" && p.ID != "":
		return false
	case p.IsText():
		return p.Subtype == "calendar" && p.Filename() != "" ||
			p.Subtype != "calendar" && p.Filename() != "" && p.Disposition != "inline"
	case p.Type == "image" && p.ID != "":
		return false
	case p.Type == "application" && isSignature(p.Subtype):
		return false
	case p.Type == "message" && p.Subtype != "rfc822":
		return false // delivery-status, disposition-notification: part of a report
	}
	return true
}

func isSignature(subtype string) bool {
	switch subtype {
	case "pgp-signature", "pkcs7-signature", "x-pkcs7-signature", "pgp-encrypted":
		return true
	}
	return false
}

// HasAttachment reports whether a part of m is an attachment. It does not look
// into attached messages.
func (m *Message) HasAttachment() bool {
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.IsAttachment() {
			return true
		}
	}
	return false
}

// ChildrenOf yields the indices of the parts directly inside Parts[i].
func (m *Message) ChildrenOf(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		c := int32(0)
		if m.Parts[i].Children > 0 {
			c = int32(i) + 1
		}
		for c != 0 && yield(int(c)) {
			c = m.Parts[c].Next
		}
	}
}

// Shift makes room for n bytes of header fields that were put in front of the
// message: its header section, and it alone, grows. n < 0 takes them away again.
func (m *Message) Shift(n int64) {
	m.Size += n
	for i := range m.Parts {
		p := &m.Parts[i]
		if i > 0 {
			p.HeaderStart += n
		}
		p.BodyStart += n
		p.BodyEnd += n
	}
}
