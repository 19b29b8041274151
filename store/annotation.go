package store

import (
	"encoding/binary"
	"errors"
	"strings"

	"posthouse/mail"
)

// An Annotation is a note on a mailbox, or on the account itself, under a name
// (RFC 5464 §3).
type Annotation struct {
	User  mail.AccountID // to whom it is private; 0: shared
	Name  string         // in lower case, a path that begins with "/"
	Value []byte
}

// ErrTooManyAnnotations is in the chain of an error of SetAnnotation.
var ErrTooManyAnnotations = errors.New("too many annotations")

// SetAnnotation sets a note on a mailbox, or on the account itself (mailbox 0), or
// removes it if value is nil. Names compare without case. Invalid for a bad name,
// TooLarge for too large a value or too many of them, OverQuota, NotFound.
func (tx *Tx) SetAnnotation(id MailboxID, user mail.AccountID, name string, value []byte) error {
	const op = "SetAnnotation"
	if err := tx.mayAnnotate(op, id, user, RightRead|RightWrite); err != nil {
		return err
	}
	l := &tx.acct.store.limits
	name, ok := annotationName(name)
	switch {
	case !ok:
		return fail(mail.Invalid, op, "not a valid name of an annotation")
	case len(value) > l.AnnotationBytes:
		return fail(mail.TooLarge, op, "the value is too large")
	}
	old, err := tx.Annotation(id, user, name)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	there := err == nil
	if value == nil && !there {
		return nil
	}
	if value != nil && !there {
		n := 0
		if err := tx.Annotations(id, user, func(a *Annotation) bool {
			if a.User == user {
				n++
			}
			return n < l.Annotations
		}); err != nil {
			return err
		}
		if n >= l.Annotations {
			return &mail.Error{Kind: mail.TooLarge, Op: "store." + op, Text: "too many annotations", Err: ErrTooManyAnnotations}
		}
	}
	size := int64(0)
	if there {
		size -= int64(len(name) + len(old))
	}
	if value != nil {
		size += int64(len(name) + len(value))
	}
	if err := tx.space(op, size); err != nil {
		return err
	}
	tx.putAnnotation(annotationKey(id, user, name), value)
	tx.st.hdr.annotations += size
	return nil
}

// putAnnotation writes or removes a record, which the transaction then sees.
func (tx *Tx) putAnnotation(key, value []byte) {
	if tx.notes == nil {
		tx.notes = map[string][]byte{}
	}
	tx.changed = true
	if value == nil {
		tx.notes[string(key)] = nil
		tx.remove(key)
		return
	}
	rec := append(append(make([]byte, 0, 1+len(value)), formatVersion), value...)
	tx.notes[string(key)] = rec
	tx.set(key, rec)
}

// mayAnnotate returns NotFound unless id names something that has annotations, and
// Denied where the reader may not see, or, with RightWrite, change those of user: one's
// own with a mailbox that one may read, and shared ones with the right to write.
func (v *View) mayAnnotate(op string, id MailboxID, user mail.AccountID, need Rights) error {
	switch {
	case !v.st.exists:
		return fail(mail.NotFound, op, "no such account")
	case v.who != nil && (id == 0 || user != 0 && user != v.who.Account):
		return denied(op)
	case id == 0:
		return nil
	case user != 0:
		need = RightRead
	}
	_, err := v.allowed(op, id, need)
	return err
}

// annotationName returns a name in lower case, if it is valid (RFC 5464 §3.2).
func annotationName(name string) (string, bool) {
	if len(name) < 2 || len(name) > 255 || name[0] != '/' || name[len(name)-1] == '/' || strings.Contains(name, "//") {
		return "", false
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f || c == '*' || c == '%' {
			return "", false
		}
	}
	return strings.ToLower(name), true
}

// Annotation returns the value of a note; NotFound if there is none. It may be kept.
func (v *View) Annotation(id MailboxID, user mail.AccountID, name string) ([]byte, error) {
	if v.who != nil {
		if err := v.mayAnnotate("Annotation", id, user, RightRead); err != nil {
			return nil, err
		}
	}
	key := annotationKey(id, user, strings.ToLower(name))
	if v.tx != nil {
		if rec, ours := v.tx.notes[string(key)]; ours {
			if rec == nil {
				return nil, fail(mail.NotFound, "Annotation", "no such annotation")
			}
			return rec[1:], nil
		}
		v.settle()
	}
	rec, err := v.reader().Get(key)
	if err != nil {
		return nil, wrap("Annotation", err)
	}
	a, err := decodeAnnotation(key, rec)
	return append([]byte{}, a.Value...), err
}

// Annotations calls f with the shared notes of a mailbox, or of the account itself,
// and then those of user, each by name, until it returns false. The Annotation is
// valid during the call only. Inside a Tx what the transaction set comes last.
func (v *View) Annotations(id MailboxID, user mail.AccountID, f func(a *Annotation) bool) error {
	if v.who != nil {
		if err := v.mayAnnotate("Annotations", id, user, RightRead); err != nil {
			return err
		}
	}
	v.settle()
	more := true
	for _, who := range []mail.AccountID{0, user} {
		prefix := annotationKey(id, who, "")
		var failed error
		err := v.reader().Scan(prefix, after(prefix), func(k, rec []byte) bool {
			if v.tx != nil {
				if _, ours := v.tx.notes[string(k)]; ours {
					return true
				}
			}
			var a Annotation
			if a, failed = decodeAnnotation(k, rec); failed == nil {
				more = f(&a)
			}
			return more && failed == nil
		})
		if failed != nil || err != nil {
			return wrap("Annotations", errors.Join(failed, err))
		}
		if !more || user == 0 {
			break
		}
	}
	if v.tx == nil {
		return nil
	}
	for k, rec := range v.tx.notes {
		if k[0] != keyAnnotation {
			continue
		}
		a, err := decodeAnnotation([]byte(k), rec)
		if rec == nil || err != nil || binary.BigEndian.Uint64([]byte(k)[1:]) != uint64(id) || a.User != 0 && a.User != user {
			continue
		}
		if more = more && f(&a); !more {
			break
		}
	}
	return nil
}

// decodeAnnotation reads a record with its whole key.
func decodeAnnotation(key, rec []byte) (a Annotation, err error) {
	const head = 1 + 8 + 8
	if len(key) <= head || len(rec) == 0 || rec[0] != formatVersion {
		return a, corrupt("annotation")
	}
	return Annotation{mail.AccountID(binary.BigEndian.Uint64(key[9:])), string(key[head:]), rec[1:]}, nil
}

// unannotate removes the annotations of a mailbox that goes.
func (tx *Tx) unannotate(id MailboxID) error {
	tx.settle()
	prefix := key64(keyAnnotation, uint64(id))
	var size int64
	keys := map[string]int64{}
	err := tx.reader().Scan(prefix, after(prefix), func(k, rec []byte) bool {
		keys[string(k)] = annotationSize(k, rec)
		return true
	})
	if err != nil {
		return wrap("DeleteMailbox", err)
	}
	for k, rec := range tx.notes {
		if strings.HasPrefix(k, string(prefix)) {
			delete(keys, k)
			if rec != nil {
				keys[k] = annotationSize([]byte(k), rec)
			}
		}
	}
	for k, n := range keys {
		tx.putAnnotation([]byte(k), nil)
		size += n
	}
	tx.st.hdr.annotations -= size
	return nil
}

// annotationSize is what an annotation counts: its name and its value.
func annotationSize(key, rec []byte) int64 { return int64(len(key) - 17 + len(rec) - 1) }

// annotations: each is well-formed and of a mailbox that can have some, and their
// sizes make the account's sum.
func (c *checker) annotations() error {
	var sum int64
	err := scan(c.r, []byte{keyAnnotation}, func(k, rec []byte) error {
		key := append([]byte{keyAnnotation}, k...)
		a, err := decodeAnnotation(key, rec)
		if err != nil {
			return err
		}
		if name, ok := annotationName(a.Name); !ok || name != a.Name {
			c.faultf("an annotation is named %q", a.Name)
		}
		id := MailboxID(binary.BigEndian.Uint64(k))
		if b := c.st.box(id); id != 0 && (b == nil || b.mb.NoSelect) {
			c.faultf("annotation %q of mailbox %d, which does not exist", a.Name, id)
		}
		sum += annotationSize(key, rec)
		return nil
	})
	if err == nil {
		var notes int64
		notes, err = c.notes()
		sum += notes
	}
	if err == nil && sum != c.st.hdr.annotations {
		c.faultf("account counts %d bytes of annotations, there are %d", c.st.hdr.annotations, sum)
	}
	return err
}
