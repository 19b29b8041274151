package dkim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
)

var (
	errTags   = errors.New("malformed tag list")
	errTwice  = errors.New("a tag is there twice")
	errBase64 = errors.New("malformed base64")
)

// Tags is a tag list, RFC 6376 §3.2.
type Tags []tag

type tag struct {
	name, value []byte // the value without the white space around it
	start, end  int    // where it stands, with the white space around it
}

// maxTags is far more than any RFC defines.
const maxTags = 64

// ParseTags reads a tag list. The result shares b.
func ParseTags(b []byte) (Tags, error) {
	tags := make(Tags, 0, 12)
	for at := 0; at < len(b); {
		end := at + bytes.IndexByte(b[at:], ';')
		if end < at {
			end = len(b)
		}
		name, value, ok := bytes.Cut(b[at:end], []byte{'='})
		if name = trim(name); len(name) == 0 && !ok && (end == len(b) && at > 0) { // after the last ";"
			break
		}
		if !ok || !isTagName(name) || !isTagValue(value) || len(tags) == maxTags {
			return nil, errTags
		}
		if _, there := tags.find(string(name)); there {
			return nil, errTwice
		}
		tags = append(tags, tag{name, trim(value), end - len(value), end})
		at = end + 1
	}
	if len(tags) == 0 {
		return nil, errTags
	}
	return tags, nil
}

// trim is bytes.Trim of white space, without a table made anew for each of the dozens
// of values and names of a signature.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isTagName(b []byte) bool {
	for i, c := range b {
		alpha := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alpha && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return len(b) > 0
}

// isTagValue allows octets beyond ASCII, RFC 8616 §4.
func isTagValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	return true
}

func (t Tags) find(name string) (*tag, bool) {
	for i := range t {
		if string(t[i].name) == name {
			return &t[i], true
		}
	}
	return nil, false
}

// Value returns the value of the tag, and whether there is such a tag.
func (t Tags) Value(name string) (string, bool) {
	if g, ok := t.find(name); ok {
		return string(g.value), true
	}
	return "", false
}

// base64 decodes the value of a tag, in which white space does not count.
func (g *tag) base64() ([]byte, error) {
	b := make([]byte, 0, len(g.value))
	for _, c := range g.value {
		if !isSpace(c) {
			b = append(b, c)
		}
	}
	n, err := base64.StdEncoding.Decode(b, b)
	if err != nil {
		return nil, errBase64
	}
	return b[:n], nil
}

// number reads a value of digits only; what is too large for an int64 is the
// largest (RFC 6376 §3.5 has them up to 76 digits).
func (g *tag) number() (int64, bool) {
	if len(g.value) == 0 || len(g.value) > 76 {
		return 0, false
	}
	for _, c := range g.value {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(g.value), 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}

// fields splits a list at colons and trims its items.
func fields(b []byte) [][]byte {
	items := make([][]byte, 0, bytes.Count(b, []byte{':'})+1)
	for item := range bytes.SplitSeq(b, []byte{':'}) {
		items = append(items, trim(item))
	}
	return items
}
