package store

import (
	"strings"

	"posthouse/mail"
)

// Rights are what somebody may do with a mailbox, RFC 4314 §2.1, as a set of bits.
type Rights uint16

// The rights of RFC 4314 §2.1, in its order, and one more.
const (
	RightLookup     Rights = 1 << iota // l: the mailbox is listed
	RightRead                          // r: select it, read and copy its messages
	RightSeen                          // s: keep \Seen for oneself
	RightWrite                         // w: change flags other than \Seen and \Deleted
	RightInsert                        // i: append and copy into it
	RightPost                          // p: send mail to its address
	RightCreate                        // k: make mailboxes below it
	RightDelete                        // x: delete or rename it
	RightDeleted                       // t: change \Deleted
	RightExpunge                       // e: remove messages
	RightAdminister                    // a: read and change who may do what
	RightAnnotate                      // n: set shared annotations of messages (RFC 5257 §4.10)

	NoRights  Rights = 0
	AllRights        = RightAnnotate<<1 - 1
)

// rightLetters are the letters of the rights, lowest bit first.
const rightLetters = "lrswipkxtean"

// The rights of RFC 2086 that became several (RFC 4314 §2.1.1), as Dovecot and
// Cyrus divide them.
const (
	legacyCreate = RightCreate | RightDelete   // c
	legacyDelete = RightDeleted | RightExpunge // d
)

// ParseRights reads letters of rights, also "c" and "d" (RFC 4314 §2.1.1).
// Invalid for any other.
func ParseRights(s string) (Rights, error) {
	var r Rights
	for i := range len(s) {
		switch n := strings.IndexByte(rightLetters, s[i]); {
		case n >= 0:
			r |= 1 << n
		case s[i] == 'c':
			r |= legacyCreate
		case s[i] == 'd':
			r |= legacyDelete
		default:
			return 0, fail(mail.Invalid, "ParseRights", "unknown right")
		}
	}
	return r, nil
}

// String returns the letters of r, as "lrs".
func (r Rights) String() string {
	b := make([]byte, 0, len(rightLetters))
	for i := range len(rightLetters) {
		if r&(1<<i) != 0 {
			b = append(b, rightLetters[i])
		}
	}
	return string(b)
}

// IMAP returns the letters of r as responses of the ACL extension have them: with
// "c" and "d" behind where any right of theirs is there (RFC 4314 §2.1.1).
func (r Rights) IMAP() string {
	s := r.String()
	if r&legacyCreate != 0 {
		s += "c"
	}
	if r&legacyDelete != 0 {
		s += "d"
	}
	return s
}

// Has reports whether r holds all of need.
func (r Rights) Has(need Rights) bool { return r&need == need }

// flagRights returns the rights that changing flags takes, RFC 4314 §4.
func (s *flagSet) rights() Rights {
	var need Rights
	if s.system&SeenBit != 0 {
		need |= RightSeen
	}
	if s.system&DeletedBit != 0 {
		need |= RightDeleted
	}
	if s.system&^(SeenBit|DeletedBit) != 0 || len(s.keywords) > 0 {
		need |= RightWrite
	}
	return need
}

// permitted returns what of s somebody with the rights r may set.
func (s *flagSet) permitted(r Rights) flagSet {
	var p flagSet
	if r.Has(RightWrite) {
		p.system = s.system &^ (SeenBit | DeletedBit)
		p.keywords = s.keywords
	}
	if r.Has(RightSeen) {
		p.system |= s.system & SeenBit
	}
	if r.Has(RightDeleted) {
		p.system |= s.system & DeletedBit
	}
	return p
}
