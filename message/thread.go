package message

import (
	"bytes"
	"slices"
	"time"
)

// Subject returns the decoded subject.
func (m *Message) Subject() string { return m.Header.Text("Subject") }

// Date returns the time of the Date field. ok is false if it has none that can
// be understood.
func (m *Message) Date() (t time.Time, ok bool) { return ParseDate(m.Header.RawValue("Date")) }

// MessageID returns the normalised msg-id of m without its angle brackets, "" if
// it has none.
func (m *Message) MessageID() string {
	var one [1]string
	if ids := AppendMessageIDs(one[:0], m.Header.RawValue("Message-ID"), 1); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// InReplyTo returns the msg-ids of In-Reply-To, without angle brackets.
func (m *Message) InReplyTo() []string {
	return AppendMessageIDs(nil, m.Header.RawValue("In-Reply-To"), m.limits.withDefaults().References)
}

// References returns the msg-ids of References, oldest first, without angle
// brackets and each once. Of more than Limits.References the first and the last
// are kept, for they name the thread and the parent.
func (m *Message) References() []string {
	limit := m.limits.withDefaults().References
	ids := AppendMessageIDs(nil, m.Header.RawValue("References"), noLimit)
	if len(ids) > limit {
		ids = append(ids[:1:1], ids[len(ids)-limit+1:]...)
	}
	if len(ids) < 2 {
		return ids
	}
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		dup := seen[id]
		seen[id] = true
		return dup
	})
}

// AppendMessageIDs appends at most limit msg-ids found in v (RFC 5322 §3.6.4):
// without angle brackets, comments and white space, quoted strings unquoted. What
// stands between them is passed over. A value that holds one word and no angle
// bracket, as some mailers write it, is taken for the msg-id itself.
func AppendMessageIDs(ids []string, v []byte, limit int) []string {
	if bytes.IndexByte(v, '<') < 0 {
		if v = trimSpace(v); limit > 0 && len(v) > 0 && bytes.IndexByte(v, '@') > 0 && !bytes.ContainsAny(v, " \t\r\n") {
			ids = append(ids, string(v))
		}
		return ids
	}
	var buf [128]byte
	for n := 0; n < limit; {
		i := bytes.IndexByte(v, '<')
		if i < 0 {
			break
		}
		v = v[i+1:]
		id, used := messageID(v, buf[:0])
		if v = v[used:]; len(id) > 0 {
			ids = append(ids, string(id))
			n++
		}
	}
	return ids
}

// messageID reads a msg-id behind its "<" and says how many bytes it took.
func messageID(v, dst []byte) (id []byte, used int) {
	x := lexer{b: v}
	for x.skip(); x.more(); x.skip() {
		switch c := x.peek(); c {
		case '>':
			return dst, x.i + 1
		case '<':
			return nil, x.i
		case '"':
			dst = x.quoted(dst)
		default:
			dst = append(dst, c)
			x.i++
		}
	}
	return nil, x.i
}
