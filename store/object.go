package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"posthouse/internal/codec"
	"posthouse/mail"
	"posthouse/store/engine"
)

// An ObjectKind says what an [Object] is. The numbers are part of the format.
type ObjectKind uint8

// The kinds of objects. Those who keep a kind own what its values mean.
const (
	ObjectIdentity     ObjectKind = iota + 1 // who an account sends as
	ObjectSubmission                         // a message that was or will be sent
	ObjectSubscription                       // where to push news of changes
	ObjectVacation                           // what is answered while away
	ObjectUpload                             // bytes that a client sent ahead
	ObjectSettings                           // what a person chose in a client
	ObjectSession                            // a login of a browser
	ObjectSnooze                             // a message that comes back
	ObjectJob                                // a change of many messages
	ObjectMailbox                            // what a client keeps of a mailbox
	ObjectContact                            // somebody whom a person knows
	ObjectOutgoing                           // the bytes of a message that waits to be sent
	ObjectMute                               // a thread whose new messages stay out of the inbox
)

// MuteID is the id of the [ObjectMute] of a thread.
func MuteID(t ThreadID) string { return "T" + strconv.FormatUint(uint64(t), 10) }

// objectBytes bounds the value of an object; its blob is bounded as a message is.
const objectBytes = 1 << 20

// An Object is a record that an account has beside its mail, with its place in the
// log. It is for the owner alone. Its value is what its owner wrote; it counts for no quota, so that its owner
// must bound how many there are.
type Object struct {
	Kind  ObjectKind
	ID    string
	Value []byte
	blob  engine.BlobID
}

// HasBlob reports whether o came with bytes of its own, see [Account.OpenObject].
func (o *Object) HasBlob() bool { return o.blob != 0 }

const objectHasBlob = 1

func objectKey(kind ObjectKind, id string) []byte {
	return append([]byte{keyObject, byte(kind)}, id...)
}

// PutObject makes or replaces an object. m, which may be nil, gives it bytes that
// live as long as it does: a finished message, or anything else that was staged.
// Invalid for a bad id, TooLarge.
func (tx *Tx) PutObject(kind ObjectKind, id string, value []byte, m *Staged) error {
	const op = "PutObject"
	if err := tx.existing(op); err != nil {
		return err
	}
	if !tx.mayUse(kind) {
		return denied(op)
	}
	switch {
	case kind == 0 || id == "" || len(id) > 255:
		return fail(mail.Invalid, op, "not a valid id of an object")
	case len(value) > objectBytes:
		return fail(mail.TooLarge, op, "the object is too large")
	case m != nil && (m.parsed == nil || m.closed):
		return fail(mail.Internal, op, "what is stored with the object is not finished")
	}
	_, err := tx.Object(kind, id)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	what := actObject
	if err != nil {
		what = actObjectMade
	}
	key := objectKey(kind, id)
	rec := append(make([]byte, 0, 2+len(value)), formatVersion, 0)
	set := engine.Op{Kind: engine.Set, Key: key}
	if m != nil {
		rec[1] = objectHasBlob
		set.Blob = tx.group.blob(m)
	}
	set.Val = append(rec, value...)
	tx.ops = append(tx.ops, set)
	tx.noteObject(key, set.Val)
	tx.log(func(dst []byte) []byte { return appendObjectEvent(dst, what, kind, id) })
	return nil
}

// DeleteObject removes an object; NotFound if it is not there.
func (tx *Tx) DeleteObject(kind ObjectKind, id string) error {
	if err := tx.existing("DeleteObject"); err != nil {
		return err
	}
	if _, err := tx.Object(kind, id); err != nil {
		return err
	}
	key := objectKey(kind, id)
	tx.remove(key)
	tx.noteObject(key, nil)
	tx.log(func(dst []byte) []byte { return appendObjectEvent(dst, actObjectGone, kind, id) })
	return nil
}

// noteObject makes the transaction see what it wrote; nil: removed.
func (tx *Tx) noteObject(key, rec []byte) {
	if tx.objects == nil {
		tx.objects = map[string][]byte{}
	}
	tx.objects[string(key)] = rec
}

// mayUse reports whether the reader may use objects of a kind.
func (v *View) mayUse(kind ObjectKind) bool {
	return v.who == nil || slices.Contains(v.who.Objects, kind)
}

// Object returns an object; NotFound if there is none. It may be kept. The bytes of
// one that the same transaction made cannot be opened yet.
func (v *View) Object(kind ObjectKind, id string) (Object, error) {
	if !v.mayUse(kind) {
		return Object{}, denied("Object")
	}
	key := objectKey(kind, id)
	if v.tx != nil {
		if rec, ours := v.tx.objects[string(key)]; ours {
			if rec == nil {
				return Object{}, fail(mail.NotFound, "Object", "no such object")
			}
			return Object{Kind: kind, ID: id, Value: slices.Clone(rec[2:])}, nil
		}
		v.settle()
	}
	rec, err := v.reader().Get(key)
	if errors.Is(err, engine.ErrNotFound) {
		return Object{}, fail(mail.NotFound, "Object", "no such object")
	}
	if err != nil {
		return Object{}, wrap("Object", err)
	}
	return decodeObject(key, rec)
}

// Objects calls f with each object of a kind, by id, until it returns false; those
// that the same transaction made come last. The Object may be kept.
func (v *View) Objects(kind ObjectKind, f func(o Object) bool) error {
	if !v.mayUse(kind) {
		return denied("Objects")
	}
	v.settle()
	prefix := []byte{keyObject, byte(kind)}
	more := true
	var failed error
	err := v.reader().Scan(prefix, after(prefix), func(k, rec []byte) bool {
		if v.tx != nil {
			if _, ours := v.tx.objects[string(k)]; ours {
				return true
			}
		}
		var o Object
		if o, failed = decodeObject(slices.Clone(k), slices.Clone(rec)); failed == nil {
			more = f(o)
		}
		return more && failed == nil
	})
	if failed != nil || err != nil {
		return wrap("Objects", errors.Join(failed, err))
	}
	if v.tx == nil {
		return nil
	}
	for k, rec := range v.tx.objects {
		if rec != nil && k[1] == byte(kind) {
			if more = more && f(Object{Kind: kind, ID: k[2:], Value: slices.Clone(rec[2:])}); !more {
				break
			}
		}
	}
	return nil
}

// decodeObject reads a record with its whole key.
func decodeObject(key, rec []byte) (Object, error) {
	if len(key) < 3 || len(rec) < 2 || rec[0] != formatVersion || rec[1] > objectHasBlob || rec[1] == objectHasBlob && len(rec) < 10 {
		return Object{}, corrupt("object")
	}
	o := Object{Kind: ObjectKind(key[1]), ID: string(key[2:]), Value: rec[2:]}
	if rec[1] == objectHasBlob {
		at := len(o.Value) - 8
		o.blob = engine.BlobID(binary.BigEndian.Uint64(o.Value[at:]))
		o.Value = o.Value[:at]
	}
	return o, nil
}

// EachObject calls f with each object of a kind of all accounts until it returns
// false, without loading the accounts.
func (s *Store) EachObject(ctx context.Context, kind ObjectKind, f func(id mail.AccountID, o Object) bool) error {
	more := true
	var failed error
	err := s.eng.Accounts(func(id engine.Account) bool {
		if id == 0 {
			return true
		}
		if failed = ctx.Err(); failed != nil {
			return false
		}
		r := s.eng.Snapshot(id)
		defer r.Close()
		prefix := []byte{keyObject, byte(kind)}
		err := r.Scan(prefix, after(prefix), func(k, rec []byte) bool {
			var o Object
			if o, failed = decodeObject(slices.Clone(k), slices.Clone(rec)); failed == nil {
				more = f(id, o)
			}
			return more && failed == nil
		})
		if failed == nil {
			failed = err
		}
		return more && failed == nil
	})
	if failed == nil {
		failed = err
	}
	return wrap("EachObject", failed)
}

// OpenObject opens the bytes that came with an object; NotFound if none did.
func (a *account) OpenObject(ctx context.Context, o *Object) (Body, error) {
	if o.blob == 0 {
		return nil, fail(mail.NotFound, "OpenObject", "the object has no bytes")
	}
	r, err := a.store.eng.OpenBlob(ctx, o.blob)
	if err != nil {
		return nil, wrap("OpenObject", err)
	}
	return &body{r: r}, nil
}

// appendObjectEvent appends what happened to an object. The kind stands where other
// events have the mailbox.
func appendObjectEvent(dst []byte, a action, kind ObjectKind, id string) []byte {
	dst = append(dst, byte(a))
	dst = binary.AppendUvarint(dst, uint64(kind))
	return codec.AppendBytes(dst, id)
}

// objects: each is well-formed.
func (c *checker) objects() error {
	return scan(c.r, []byte{keyObject}, func(k, rec []byte) error {
		if _, err := decodeObject(append([]byte{keyObject}, k...), rec); err != nil {
			c.faultf("an object does not parse")
		}
		return nil
	})
}
