package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"posthouse/internal/codec"
	"posthouse/mail"
	"posthouse/store/engine"
)

// An ID names an entry of the queue. It grows with time: microseconds since 1970,
// or one more than the last.
type ID uint64

// String is the form that people see.
func (id ID) String() string { return strings.ToUpper(strconv.FormatUint(uint64(id), 36)) }

// ParseID is the inverse of String, in any case.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(strings.ToLower(s), 36, 64)
	if err != nil || n == 0 {
		return 0, failure(mail.Invalid, "ParseID", "not the id of a message in the queue", err)
	}
	return ID(n), nil
}

// never is the time of the next attempt of a held entry.
const never = math.MaxInt64

func keyOf(kind byte, id ID) []byte {
	return binary.BigEndian.AppendUint64([]byte{'q', kind}, uint64(id))
}

func dueKey(next int64, id ID) []byte {
	k := binary.BigEndian.AppendUint64([]byte{'q', 'd'}, uint64(next))
	return binary.BigEndian.AppendUint64(k, uint64(id))
}

// idOf is the id in a qm or qs key.
func idOf(key []byte) ID { return ID(binary.BigEndian.Uint64(key[2:])) }

// idOfDue is the id in a qd key.
func idOfDue(key []byte) (ID, bool) {
	if len(key) != 18 || key[0] != 'q' || key[1] != 'd' {
		return 0, false
	}
	return ID(binary.BigEndian.Uint64(key[10:])), true
}

// span is the range of all keys of a kind.
func span(kind byte) (lo, hi []byte) { return []byte{'q', kind}, []byte{'q', kind + 1} }

// A record is an entry's message: what qm holds.
type record struct {
	created time.Time
	env     mail.Envelope
	dest    string
	prefix  []byte // header lines in front of the blob
	size    int64  // of prefix and blob
	blob    engine.BlobID
}

// heldUntil is when the first attempt may be made, Unix nanoseconds; 0: at once.
func (r *record) heldUntil() int64 {
	if r.env.HoldUntil.IsZero() {
		return 0
	}
	return r.env.HoldUntil.UnixNano()
}

// born is when the time to deliver begins: RFC 4865 §4.2.
func (r *record) born() time.Time {
	if r.env.HoldUntil.After(r.created) {
		return r.env.HoldUntil
	}
	return r.created
}

// A status is what became of a recipient.
type status uint8

const (
	stWaiting   status = iota
	stDelivered        // taken by another server, which will report by itself if asked to
	stRelayed          // taken by another server that does not know DSN
	stFailed           // refused for good
	stExpired          // given up after Lifetime
)

// A rcptState is the part of qs that is about one recipient.
type rcptState struct {
	status   status
	reported bool // nothing is owed to the sender
	reply    mail.Reply
	remote   bool   // reply came from host
	host     string // who gave the last reply, or would not
	at       int64  // when, Unix nanoseconds
}

// A state is what qs holds.
type state struct {
	attempts int
	next     int64  // Unix nanoseconds; never: held
	delayed  bool   // the delay was reported
	late     bool   // that DELIVERBY passed was reported
	until    int64  // when to give up, Unix nanoseconds; 0: Lifetime after the arrival
	route    string // "host/port" that the operator named for it; "": as usual
	rcpts    []rcptState
	kept     bool // it was read from a qs, not made up
}

// recordVersion is the first byte of qm and qs. Records of version 1 end sooner, and
// are read.
const recordVersion = 2

var errRecord = errors.New("queue: record does not parse")

// An encoder appends numbers and strings.
type encoder struct{ b []byte }

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) str(s string)  { e.b = codec.AppendBytes(e.b, s) }
func (e *encoder) bits(bs ...bool) {
	var v byte
	for i, b := range bs {
		if b {
			v |= 1 << i
		}
	}
	e.b = append(e.b, v)
}

// A decoder reads what an encoder wrote.
type decoder struct{ codec.Decoder[string] }

func (e *encoder) address(a mail.Address) { e.str(a.Local); e.str(string(a.Domain)) }
func (d *decoder) address() mail.Address {
	return mail.Address{Local: d.Bytes(), Domain: mail.Domain(d.Bytes())}
}

// encode returns the value of qm without the blob id, which the engine appends.
func (r *record) encode() []byte {
	e := encoder{b: make([]byte, 0, 128+len(r.prefix)+64*len(r.env.Recipients))}
	e.b = append(e.b, recordVersion)
	e.int(r.created.UnixNano())
	e.bits(r.env.UTF8, r.env.ReturnFull)
	e.uint(uint64(r.env.Body))
	e.str(r.env.EnvID)
	e.str(r.env.TraceID)
	e.address(r.env.ReversePath)
	e.str(r.dest)
	e.str(string(r.prefix))
	e.uint(uint64(r.size))
	e.uint(uint64(len(r.env.Recipients)))
	for _, rc := range r.env.Recipients {
		e.address(rc.Address)
		e.uint(uint64(rc.Notify))
		e.str(rc.Original)
	}
	e.bits(r.env.RequireTLS, r.env.TLSOptional, r.env.ByReturn, r.env.ByTrace)
	e.int(int64(r.env.Priority))
	e.time(r.env.HoldUntil)
	e.time(r.env.DeliverBy)
	e.uint(uint64(r.env.Account))
	return e.b
}

// time writes a time that may be zero, as Unix nanoseconds or 0.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixNano())
}

func (d *decoder) time() time.Time {
	if n := d.Varint(); n != 0 && !d.Bad() {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// decodeRecord reads the value of qm with its blob id.
func decodeRecord(b []byte) (*record, error) {
	if len(b) < 9 || b[0] < 1 || b[0] > recordVersion {
		return nil, errRecord
	}
	r := &record{blob: engine.BlobID(binary.BigEndian.Uint64(b[len(b)-8:]))}
	d := decoder{codec.Decode(string(b[1 : len(b)-8]))}
	r.created = time.Unix(0, d.Varint())
	bits := d.Byte()
	r.env.UTF8, r.env.ReturnFull = bits&1 != 0, bits&2 != 0
	body := d.Uvarint()
	if body > uint64(mail.BodyBinaryMIME) {
		return nil, errRecord
	}
	r.env.Body = mail.BodyType(body)
	r.env.EnvID, r.env.TraceID = d.Bytes(), d.Bytes()
	r.env.ReversePath = d.address()
	r.dest = d.Bytes()
	r.prefix = []byte(d.Bytes())
	r.size = int64(d.Uvarint())
	n := d.Count(1)
	r.env.Recipients = make([]mail.Recipient, n)
	for i := range n {
		r.env.Recipients[i] = mail.Recipient{Address: d.address(), Notify: mail.NotifyMask(d.Uvarint()), Original: d.Bytes()}
	}
	if b[0] > 1 {
		r.decodeMore(&d)
	}
	if !d.Done() || r.size < int64(len(r.prefix)) {
		return nil, errRecord
	}
	return r, nil
}

// decodeMore reads what version 2 added.
func (r *record) decodeMore(d *decoder) {
	bits := d.Byte()
	r.env.RequireTLS, r.env.TLSOptional = bits&1 != 0, bits&2 != 0
	r.env.ByReturn, r.env.ByTrace = bits&4 != 0, bits&8 != 0
	priority := d.Varint()
	if r.env.Priority = int8(priority); priority < -9 || priority > 9 {
		d.Fail()
	}
	r.env.HoldUntil, r.env.DeliverBy = d.time(), d.time()
	r.env.Account = mail.AccountID(d.Uvarint())
}

// maxKeptText bounds a reply's text in a state, so that a thousand recipients with
// long replies stay a small record.
const maxKeptText = 1000

func (s *state) encode() []byte {
	e := encoder{b: make([]byte, 0, 32+64*len(s.rcpts))}
	e.b = append(e.b, recordVersion)
	e.uint(uint64(s.attempts))
	e.int(s.next)
	e.bits(s.delayed, s.late)
	e.int(s.until)
	e.str(s.route)
	e.uint(uint64(len(s.rcpts)))
	for i := range s.rcpts {
		r := &s.rcpts[i]
		e.uint(uint64(r.status))
		e.bits(r.reported, r.remote)
		e.uint(uint64(r.reply.Code))
		e.b = append(e.b, r.reply.Enhanced[:]...)
		e.str(strings.ToValidUTF8(r.reply.Text[:min(len(r.reply.Text), maxKeptText)], ""))
		e.str(r.host)
		e.int(r.at)
	}
	return e.b
}

// decodeState reads the value of qs, for an entry of n recipients.
func decodeState(b []byte, n int) (*state, error) {
	if len(b) < 1 || b[0] < 1 || b[0] > recordVersion {
		return nil, errRecord
	}
	d := decoder{codec.Decode(string(b[1:]))}
	s := &state{attempts: int(d.Uvarint()), next: d.Varint()}
	bits := d.Byte()
	s.delayed, s.late = bits&1 != 0, bits&2 != 0
	if b[0] > 1 {
		s.until, s.route = d.Varint(), d.Bytes()
	}
	if d.Count(1) != n {
		return nil, errRecord
	}
	s.rcpts = make([]rcptState, n)
	for i := range s.rcpts {
		r := &s.rcpts[i]
		r.status = status(d.Uvarint())
		bits := d.Byte()
		r.reported, r.remote = bits&1 != 0, bits&2 != 0
		r.reply.Code = int(d.Uvarint())
		r.reply.Enhanced = [3]uint8{d.Byte(), d.Byte(), d.Byte()}
		r.reply.Text, r.host = d.Bytes(), d.Bytes()
		r.at = d.Varint()
		if r.status > stExpired {
			return nil, errRecord
		}
	}
	if !d.Done() {
		return nil, errRecord
	}
	return s, nil
}

// dueValue is the value of qd: size and destination, and behind a NUL, which is in no
// destination, priority and sender. Values of version 1 end before that.
func dueValue(u due) []byte {
	b := append(binary.AppendUvarint(make([]byte, 0, len(u.dest)+16), uint64(u.size)), u.dest...)
	b = append(b, 0, byte(u.priority))
	return binary.BigEndian.AppendUint32(b, u.sender)
}

func parseDue(key, val []byte) (ID, due, bool) {
	d := codec.Decode(val)
	size := d.Uvarint()
	if len(key) != 18 || d.Bad() {
		return 0, due{}, false
	}
	u := due{next: int64(binary.BigEndian.Uint64(key[2:])), size: int64(size)}
	name, more, found := bytes.Cut(d.Rest(), []byte{0})
	if u.dest = string(name); found {
		if len(more) != 5 {
			return 0, due{}, false
		}
		u.priority, u.sender = int8(more[0]), binary.BigEndian.Uint32(more[1:])
	}
	return ID(binary.BigEndian.Uint64(key[10:])), u, true
}

// senderOf is a number for who shares the queue with others: the account that handed
// the message in, else the reverse-path.
func senderOf(env *mail.Envelope) uint32 {
	h := fnv.New32a()
	if env.Account != 0 {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(env.Account)))
	} else {
		_, _ = h.Write([]byte(strings.ToLower(env.ReversePath.String())))
	}
	return h.Sum32()
}
