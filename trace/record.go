package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"posthouse/internal/codec"
	"posthouse/store/engine"
)

// recordVersion is the first byte of a record.
const recordVersion = 1

var errRecord = errors.New("trace: record does not parse")

// Fields of a record: a tag, then its value. A tag that is not known ends the record
// for this reader, so a newer version may append.
const (
	tagKind = iota + 1
	tagQueue
	tagParent
	tagFrom
	tagMessageID
	tagAccount
	tagRemote
	tagHello
	tagBy
	tagSize
	tagReply
	tagFate
	tagNote
)

// clip shortens a string to what is kept of it.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if len(s) > 0 && s[len(s)-1] >= utf8.RuneSelf {
			s = s[:len(s)-1]
		}
	}
	return s
}

func appendText(dst []byte, s string) []byte {
	return codec.AppendBytes(dst, clip(s))
}

func appendField(dst []byte, tag byte, s string) []byte {
	if s == "" {
		return dst
	}
	return appendText(append(dst, tag), s)
}

// appendEvent appends the value of a record; its id stands in the key.
func appendEvent(dst []byte, e *Event) []byte {
	dst = append(dst, recordVersion)
	dst = binary.AppendVarint(dst, e.At.UnixMilli())
	dst = append(dst, tagKind, byte(e.Kind))
	for _, f := range [...]struct {
		tag  byte
		text string
	}{{tagQueue, e.Queue}, {tagParent, e.Parent}, {tagFrom, e.From}, {tagMessageID, e.MessageID}, {tagAccount, e.Account},
		{tagRemote, e.Remote}, {tagHello, e.Hello}, {tagBy, e.By}} {
		dst = appendField(dst, f.tag, f.text)
	}
	if e.Size != 0 {
		dst = binary.AppendVarint(append(dst, tagSize), e.Size)
	}
	if r := &e.Reply; r.Code != 0 {
		dst = binary.AppendUvarint(append(dst, tagReply), uint64(max(0, r.Code)))
		dst = appendText(append(dst, r.Enhanced[:]...), r.Text)
	}
	for _, f := range e.To[:min(len(e.To), maxFates)] {
		dst = appendText(append(dst, tagFate, byte(f.Became)), f.Address)
		dst = appendText(dst, f.Detail)
	}
	for _, n := range e.Notes[:min(len(e.Notes), maxNotes)] {
		dst = appendField(dst, tagNote, n)
	}
	return dst
}

// decodeEvent reads the value of a record.
func decodeEvent(b []byte) (Event, error) {
	var e Event
	if len(b) == 0 || b[0] != recordVersion {
		return e, errRecord
	}
	d := codec.Decode(string(b[1:]))
	e.At = time.UnixMilli(d.Varint()).UTC()
	for d.Len() > 0 {
		if !e.field(&d) {
			break
		}
	}
	if d.Bad() {
		return e, errRecord
	}
	return e, nil
}

// field reads one field; false if its tag is not known.
func (e *Event) field(d *codec.Decoder[string]) bool {
	switch d.Byte() {
	case tagKind:
		e.Kind = Kind(d.Byte())
	case tagQueue:
		e.Queue = d.Bytes()
	case tagParent:
		e.Parent = d.Bytes()
	case tagFrom:
		e.From = d.Bytes()
	case tagMessageID:
		e.MessageID = d.Bytes()
	case tagAccount:
		e.Account = d.Bytes()
	case tagRemote:
		e.Remote = d.Bytes()
	case tagHello:
		e.Hello = d.Bytes()
	case tagBy:
		e.By = d.Bytes()
	case tagSize:
		e.Size = d.Varint()
	case tagReply:
		e.Reply.Code = int(d.Uvarint() % 1000)
		e.Reply.Enhanced = [3]uint8{d.Byte(), d.Byte(), d.Byte()}
		e.Reply.Text = d.Bytes()
	case tagFate:
		f := Fate{Became: Became(d.Byte())}
		f.Address, f.Detail = d.Bytes(), d.Bytes()
		e.To = append(e.To, f)
	case tagNote:
		e.Notes = append(e.Notes, d.Bytes())
	default:
		return false
	}
	return true
}

// The kinds of index entries.
const (
	byFrom      = 'f'
	byRecipient = 'r'
	byMessageID = 'm'
	byQueue     = 'q'
)

const (
	keyPrefix = 't'
	keyEvent  = 'e'
	keyIndex  = 'i'
)

func dayOf(t time.Time) uint32 { return uint32(max(0, t.Unix()) / 86400) }

func appendDay(dst []byte, day uint32, sort byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, keyPrefix), day), sort)
}

// eventKeys is the prefix of a message's records of one day.
func eventKeys(dst []byte, day uint32, id string) []byte {
	return append(append(appendDay(dst, day, keyEvent), id...), 0)
}

// indexKeys is the prefix of the entries for a value.
func indexKeys(dst []byte, day uint32, kind byte, value string) []byte {
	sum := sha256.Sum256([]byte(strings.ToLower(value)))
	return append(append(appendDay(dst, day, keyIndex), kind), sum[:8]...)
}

// ops appends what stores e to dst. Keys and value stand in one piece of memory.
func ops(dst []engine.Op, e *Event, seq uint64) []engine.Op {
	day := dayOf(e.At)
	room := make([]byte, 0, 512)
	cut := func(from int) []byte { return room[from:len(room):len(room)] }
	room = binary.BigEndian.AppendUint64(eventKeys(room, day, e.ID), seq)
	key := cut(0)
	room = appendEvent(room, e)
	dst = append(dst, engine.Op{Kind: engine.Set, Key: key, Val: cut(len(key))})
	index := func(kind byte, value string) {
		from := len(room)
		room = append(indexKeys(room, day, kind, value), e.ID...)
		dst = append(dst, engine.Op{Kind: engine.Set, Key: cut(from)})
	}
	switch e.Kind {
	case Received, Refused, Abandoned, Sent:
		index(byFrom, clip(e.From))
		for i, f := range e.To {
			if i == maxIndex {
				break
			}
			index(byRecipient, clip(f.Address))
		}
		if e.MessageID != "" {
			index(byMessageID, clip(e.MessageID))
		}
	}
	if e.Queue != "" {
		index(byQueue, e.Queue)
	}
	return dst
}
