package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store/engine"
)

// Email is the immutable record of one message, made when it was stored. Nothing
// of it needs the message to be parsed again.
type Email struct {
	ID            EmailID
	Thread        ThreadID
	Size          int64     // RFC822.SIZE: prefix and body
	Sent          time.Time // Date header; zero if there is none that parses
	Envelope      []byte    // IMAP form, parentheses included
	BodyStructure []byte    // IMAP form, parentheses included
	Preview       []byte    // UTF-8
	HasAttachment bool
	Prefix        []byte // header lines put before the stored bytes at delivery

	findings   []byte // see Findings
	fields     []byte // of the header of the stored bytes, see message.AppendFields
	table      []byte // part table of the stored bytes, without prefix
	references []uint64
	blob       engine.BlobID
	fresh      *engine.Blob // of an Email whose commit is under way: has the id after it
}

// Message returns the part table, offsets counted over prefix and body.
func (e *Email) Message() (*message.Message, error) {
	m, err := message.ParseTable(e.table)
	if err != nil {
		return nil, err
	}
	m.Shift(int64(len(e.Prefix)))
	return m, nil
}

// Top is where the header section and the body of the message itself lie, counted
// over prefix and body: what Message says of them, much cheaper.
func (e *Email) Top() (header, body message.Range, err error) {
	header, body, err = message.TableTop(e.table)
	n := int64(len(e.Prefix))
	header.End += n
	body.Start += n
	body.End += n
	return header, body, err
}

// AppendFields appends selected header fields as BODY[HEADER.FIELDS (…)] has them; false
// if the record does not have them, and the message must be read.
func (e *Email) AppendFields(dst []byte, s *message.FieldSelection) ([]byte, bool) {
	return s.Append(dst, e.Prefix, e.fields, e.Envelope)
}

func (e *Email) blobID() engine.BlobID {
	if e.blob == 0 && e.fresh != nil {
		return e.fresh.ID
	}
	return e.blob
}

// Email returns the record of a message. It may be kept. Expunged messages are
// found until they are reaped, but on the account of somebody else only those in
// mailboxes that the reader may read.
func (v *View) Email(id EmailID) (*Email, error) {
	if v.who != nil {
		if in, err := v.Memberships(id); err != nil || len(in) == 0 {
			if err == nil {
				err = fail(mail.NotFound, "Email", "no such message")
			}
			return nil, err
		}
	}
	return v.email(id)
}

func (v *View) email(id EmailID) (*Email, error) {
	if v.tx != nil {
		if i, ours := slices.BinarySearchFunc(v.tx.emails, id, func(e *Email, id EmailID) int { return cmp.Compare(e.ID, id) }); ours {
			return v.tx.emails[i], nil
		}
	}
	val, err := v.reader().Get(emailKey(id))
	if errors.Is(err, engine.ErrNotFound) && v.tx != nil && id < v.st.hdr.nextEmail {
		v.settle()
		val, err = v.reader().Get(emailKey(id))
	}
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fail(mail.NotFound, "Email", "no such message")
	}
	if err != nil {
		return nil, wrap("Email", err)
	}
	e := new(Email)
	return e, decodeEmail(e, id, val)
}

// scanGap is how many unwanted records a scan may pass to reach the next wanted
// one: a scan step costs a tenth of a point lookup.
const scanGap = 8

// Emails calls f with the record of each message of rows, in order, until f
// returns false; much cheaper than as many calls of Email. The record is valid
// during the call only. Rows whose record was reaped meanwhile are passed over.
func (v *View) Emails(rows []Row, f func(i int, e *Email) bool) error {
	var e Email
	for i := 0; i < len(rows); {
		end := i + 1
		for end < len(rows) && rows[end].Email > rows[end-1].Email && rows[end].Email-rows[end-1].Email <= scanGap {
			end++
		}
		if v.tx != nil || end == i+1 {
			one, err := v.email(rows[i].Email)
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return err
			}
			if err == nil && !f(i, one) {
				return nil
			}
			i++
			continue
		}
		more, err := v.scanEmails(rows[i:end], i, &e, f)
		if err != nil || !more {
			return err
		}
		i = end
	}
	return nil
}

// scanEmails does Emails for rows of ascending ids that lie close together.
func (v *View) scanEmails(rows []Row, first int, e *Email, f func(i int, e *Email) bool) (more bool, err error) {
	n := 0
	more = true
	var failed error
	err = v.reader().Scan(emailKey(rows[0].Email), emailKey(rows[len(rows)-1].Email+1), func(k, val []byte) bool {
		if len(k) != 9 {
			failed = corrupt("email")
			return false
		}
		id := EmailID(binary.BigEndian.Uint64(k[1:]))
		for n < len(rows) && rows[n].Email < id {
			n++
		}
		if n == len(rows) {
			return false
		}
		if rows[n].Email != id {
			return true
		}
		if failed = decodeEmail(e, id, val); failed != nil {
			return false
		}
		more = f(first+n, e)
		n++
		return more
	})
	if failed == nil {
		failed = err
	}
	return more, wrap("Emails", failed)
}

// Thread returns the messages of a thread, oldest first. Some may be expunged.
func (v *View) Thread(id ThreadID) ([]EmailID, error) {
	all, err := v.threadMembers(id)
	if err != nil || v.who == nil {
		return all, err
	}
	return slices.DeleteFunc(all, func(e EmailID) bool {
		var in []Membership
		if err == nil {
			in, err = v.Memberships(e)
		}
		return len(in) == 0
	}), err
}

func (v *View) threadMembers(id ThreadID) ([]EmailID, error) {
	var all []EmailID
	err := scan(v.reader(), key64(keyThread, uint64(id)), func(k, _ []byte) error {
		if len(k) != 8 {
			return corrupt("thread")
		}
		all = append(all, EmailID(binary.BigEndian.Uint64(k)))
		return nil
	})
	return all, wrap("Thread", err)
}

// Threads calls f with each message of the account and its thread, by thread and
// then by message, until it returns false. Some may be expunged.
func (v *View) Threads(f func(t ThreadID, e EmailID) bool) error {
	v.settle()
	var failed error
	err := v.reader().Scan([]byte{keyThread}, []byte{keyThread + 1}, func(k, _ []byte) bool {
		if len(k) != 17 {
			failed = corrupt("thread")
			return false
		}
		return f(ThreadID(binary.BigEndian.Uint64(k[1:])), EmailID(binary.BigEndian.Uint64(k[9:])))
	})
	if failed == nil {
		failed = err
	}
	return wrap("Threads", failed)
}

// Open opens the bytes of a message for reading: header prefix and body as one.
func (a *account) Open(ctx context.Context, e *Email) (Body, error) {
	r, err := a.store.eng.OpenBlob(ctx, e.blobID())
	if err != nil {
		return nil, wrap("Open", err)
	}
	return &body{prefix: e.Prefix, r: r}, nil
}

// Related is how many message ids tie the message to a thread: its own Message-ID,
// In-Reply-To and References, as far as they were kept.
func (e *Email) Related() int { return len(e.references) }

// Keep makes e independent of the scan that it comes from: its bytes are appended
// to arena, which is returned and may be used for several.
func (e *Email) Keep(arena []byte) []byte {
	for _, b := range []*[]byte{&e.Envelope, &e.BodyStructure, &e.Prefix, &e.table, &e.fields} {
		begin := len(arena)
		arena = append(arena, *b...)
		*b = arena[begin:len(arena):len(arena)]
	}
	e.references = nil
	return arena
}

// ReadAll reads many whole messages and calls f for each in order, until it
// returns false: with its bytes, valid during the call, or with the error that
// Read would return. It reads ahead, and what lies side by side at once. A message
// that is nil is passed over.
func (a *Account) ReadAll(ctx context.Context, emails []*Email, f func(i int, raw []byte, err error) bool) error {
	ids, at := make([]engine.BlobID, 0, len(emails)), make([]int, 0, len(emails))
	for i, e := range emails {
		if e != nil {
			ids, at = append(ids, e.blobID()), append(at, i)
		}
	}
	var whole []byte
	err := a.store.eng.ReadBlobs(ctx, ids, func(i int, b []byte, err error) bool {
		if e := emails[at[i]]; err == nil && len(e.Prefix) > 0 {
			whole = append(append(whole[:0], e.Prefix...), b...)
			b = whole
		}
		return f(at[i], b, wrap("ReadAll", err))
	})
	return wrap("ReadAll", err)
}

// Read appends the whole message to dst.
func (a *account) Read(ctx context.Context, dst []byte, e *Email) ([]byte, error) {
	dst = slices.Grow(dst, int(e.Size))
	dst = append(dst, e.Prefix...)
	dst, err := a.store.eng.ReadBlob(ctx, dst, e.blobID())
	return dst, wrap("Read", err)
}
