package message

import (
	"bytes"
	"encoding/binary"
	"strings"

	"posthouse/internal/codec"
)

// fieldWords are the fields that clients ask for in lists of messages, as their names
// are mostly written; those of one name with several spellings stand side by side. The
// list is part of the format: append to it, never change it. It has at most 64 names.
//
// What most mail has several of, or long ones (Received, DKIM-Signature, ARC-…), is
// left out: it would double what is kept of a message for the few who ask.
var fieldWords = [...]string{"Date", "From", "To", "Subject", "Message-ID", "Message-Id", "Cc", "CC", "In-Reply-To", "In-reply-to",
	"References", "Reply-To", "Reply-to", "Sender", "Bcc", "Content-Type", "Content-type", "Content-Transfer-Encoding", "Content-transfer-encoding",
	"X-Priority", "Priority", "Importance", "X-MSMail-Priority",
	"List-Id", "List-ID", "List-Post", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Help", "List-Archive", "List-Owner",
	"Return-Path", "Delivered-To", "X-Original-To", "Authentication-Results", "Auto-Submitted", "Precedence",
	"Newsgroups", "Mail-Followup-To", "Mail-Reply-To", "Disposition-Notification-To", "Return-Receipt-To",
	"X-Label", "Keywords", "Lines", "Organization", "Content-Class", "Content-Description", "Content-Language", "Content-ID",
	"X-Spam-Flag", "X-Spam-Score", "X-TUID", "X-Draft-Info", "X-Mozilla-Keys", "X-Mozilla-Status", "X-K9mail-Identity",
	"X-Uniform-Type-Identifier", "X-Universally-Unique-Identifier", "BIMI-Indicator", "BIMI-Location", "X-BIMI-Indicator-Hash",
	"Chat-Version", "X-Microsoft-Original-Message-ID", "Autocrypt-Setup-Message", "Thread-Topic", "Archived-At"}

// fieldBytes bounds what is kept of one message.
const fieldBytes = 1 << 10

// Of the words: wordBits has the bit of the name of each; wordsUpTo[n] those of the
// first n; wordsOfLength the words of each length, by the length.
var wordBits, wordsUpTo, wordsOfLength = fieldWordTables()

func fieldWordTables() (bit [len(fieldWords)]uint64, upTo [len(fieldWords) + 1]uint64, lengths [40][]uint8) {
	n := 0
	for i, w := range fieldWords {
		if i == 0 || !strings.EqualFold(w, fieldWords[i-1]) {
			n++
		}
		bit[i] = 1 << (n - 1)
		upTo[i+1] = upTo[i] | bit[i]
		lengths[len(w)] = append(lengths[len(w)], uint8(i))
	}
	return bit, upTo, lengths
}

// fieldWord returns the word that name is, as written or, if it is written as none of
// them, in other letters; -1 if it is none.
func fieldWord(name []byte) (word int, exact bool) {
	if len(name) >= len(wordsOfLength) {
		return -1, false
	}
	word = -1
	for _, i := range wordsOfLength[len(name)] {
		if w := fieldWords[i]; string(name) == w {
			return int(i), true
		} else if word < 0 && equalFold(name, w) {
			word = int(i)
		}
	}
	return word, false
}

// AppendFields appends, in a compact form, the fields of a header section that clients
// ask for in lists, so that [FieldSelection.Append] can give them back to the byte. What
// stands in the envelope as AppendEnvelope wrote it is not said twice. It appends
// nothing if the section begins in the middle of a field.
func AppendFields(dst, header, envelope []byte) []byte {
	if len(header) > 0 && isWSP(header[0]) {
		return dst
	}
	var kept [fieldBytes]byte
	out, left := kept[:0], uint64(0)
	for len(header) > 0 {
		field, name, rest := cutField(header)
		if field == nil {
			break
		}
		header = rest
		word, exact := fieldWord(name)
		if word < 0 {
			continue
		}
		had := len(out)
		if len(field)+8 > fieldBytes-had { // only what the envelope has may be long
			if out = appendShared(out, field, word, exact, envelope); len(out) == had {
				left |= wordBits[word]
			}
			continue
		}
		if out = appendShared(out, field, word, exact, envelope); len(out) == had {
			out = appendField(out, field, word, exact)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(fieldWords)))
	dst = binary.AppendUvarint(dst, left)
	return append(dst, out...)
}

// cutField cuts the first field, with the lines that continue it, off a header section;
// nil at its end. The lines are those of AppendHeaderFields.
func cutField(b []byte) (field, name, rest []byte) {
	end := lineEnd(b)
	line := b[:end]
	if line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n' {
		return nil, nil, nil
	}
	for end < len(b) && isWSP(b[end]) {
		end += lineEnd(b[end:])
	}
	return b[:end], fieldName(line), b[end:]
}

func lineEnd(b []byte) int {
	if n := bytes.IndexByte(b, '\n') + 1; n > 0 {
		return n
	}
	return len(b)
}

// plainValue returns the value of a field that is written as usual: the word, a colon,
// a space, the value and CRLF.
func plainValue(field []byte, word int, exact bool) (value []byte, ok bool) {
	n := len(fieldWords[word])
	if !exact || len(field) < n+4 || field[n] != ':' || field[n+1] != ' ' || field[len(field)-2] != '\r' || field[len(field)-1] != '\n' {
		return nil, false
	}
	return field[n+2 : len(field)-2], true
}

// sharedBytes is how long a value in the envelope must be to be looked for there.
const sharedBytes = 8

// appendShared appends a field whose value the envelope has; nothing if it has it not,
// or no room is left.
func appendShared(dst, field []byte, word int, exact bool, envelope []byte) []byte {
	switch fieldWords[word] {
	case "Date", "Subject", "Message-ID", "Message-Id", "In-Reply-To", "In-reply-to":
	default:
		return dst
	}
	value, ok := plainValue(field, word, exact)
	if !ok || len(value) < sharedBytes || len(dst)+12 > fieldBytes {
		return dst
	}
	at := placeIn(envelope, value)
	if at < 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(word)<<1+2)
	dst = binary.AppendUvarint(dst, uint64(at))
	return binary.AppendUvarint(dst, uint64(len(value)))
}

// placeIn looks for a value in an envelope, first where the date and the Message-ID
// stand.
func placeIn(envelope, value []byte) int {
	if first, last := 2, len(envelope)-2-len(value); last >= first {
		if bytes.HasPrefix(envelope[first:], value) {
			return first
		}
		if bytes.HasPrefix(envelope[last:], value) {
			return last
		}
	}
	return bytes.Index(envelope, value)
}

func appendField(dst, field []byte, word int, exact bool) []byte {
	if value, ok := plainValue(field, word, exact); ok {
		dst = binary.AppendUvarint(dst, uint64(word)<<1+1)
		field = value
	} else {
		dst = append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(field)))
	return append(dst, field...)
}

// A FieldSelection is which fields are asked for.
type FieldSelection struct {
	names []string
	bits  uint64
}

// SelectFields is for the fields called one of names; false if one of them is not
// among those that are kept of messages.
func SelectFields(names []string) (s FieldSelection, ok bool) {
	for _, name := range names {
		word, _ := fieldWord([]byte(name))
		if word < 0 {
			return s, false
		}
		s.bits |= wordBits[word]
	}
	s.names = names
	return s, true
}

// Append appends the selected fields, as AppendHeaderFields does, from what
// AppendFields kept. prefix are whole lines that stand before that header section. It
// is false, and nothing is appended, if what was kept does not have them.
func (s *FieldSelection) Append(dst, prefix, kept, envelope []byte) ([]byte, bool) {
	d := codec.Decode(kept)
	words, left := d.UpTo(uint64(len(fieldWords))), d.Uvarint()
	if d.Bad() || s.bits&^wordsUpTo[words] != 0 || s.bits&left != 0 {
		return dst, false
	}
	begin := len(dst)
	if len(prefix) > 0 {
		dst = AppendHeaderFields(dst, prefix, s.names, false)
		dst = dst[:len(dst)-2] // the empty line
	}
	for d.Len() > 0 {
		dst = s.appendNext(dst, &d, envelope)
	}
	if d.Bad() {
		return dst[:begin], false
	}
	return append(dst, '\r', '\n'), true
}

// appendNext reads the next field that was kept and appends it if it is selected.
func (s *FieldSelection) appendNext(dst []byte, kept *codec.Decoder[[]byte], envelope []byte) []byte {
	head, at := kept.UpTo(uint64(2*len(fieldWords))), kept.Uvarint()
	word := int(head-1) >> 1
	if head > 0 && head&1 == 0 {
		count := kept.Uvarint()
		if at > uint64(len(envelope)) || count > uint64(len(envelope))-at {
			kept.Fail()
		} else if !kept.Bad() && s.bits&wordBits[word] != 0 {
			dst = appendPlainField(dst, word, envelope[at:at+count])
		}
		return dst
	}
	value := kept.Take(at)
	switch {
	case head > 0:
		if s.bits&wordBits[word] != 0 {
			dst = appendPlainField(dst, word, value)
		}
	case len(value) > 0 && fieldNamed(value[:lineEnd(value)], s.names):
		if dst = append(dst, value...); value[len(value)-1] != '\n' {
			dst = append(dst, '\r', '\n')
		}
	}
	return dst
}

func appendPlainField(dst []byte, word int, value []byte) []byte {
	dst = append(append(dst, fieldWords[word]...), ':', ' ')
	return append(append(dst, value...), '\r', '\n')
}

// FieldsFit reports whether kept is what AppendFields keeps of a header section, this
// version's or an older one's.
func FieldsFit(kept, header, envelope []byte) bool {
	d := codec.Decode(kept)
	words, left := d.UpTo(uint64(len(fieldWords))), d.Uvarint()
	if d.Bad() {
		return false
	}
	var s FieldSelection
	for i, w := range fieldWords[:words] {
		if wordBits[i]&left == 0 {
			s.names, s.bits = append(s.names, w), s.bits|wordBits[i]
		}
	}
	got, ok := s.Append(nil, nil, kept, envelope)
	return ok && bytes.Equal(got, AppendHeaderFields(nil, header, s.names, false))
}
