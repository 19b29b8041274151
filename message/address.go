package message

import (
	"bytes"
	"strings"

	"posthouse/mail"
)

// A Mailbox is an address with the name that stands beside it in a header,
// decoded, RFC 5322 §3.4. A Group has a Name and no Address.
type Mailbox struct {
	Name    string
	Address mail.Address
	Group   bool // the start of a group; its members follow it
}

// ParseAddresses parses an address-list (From, To, Cc, Reply-To …). At most
// limit mailboxes are kept, 1,000 if limit is 0. What is not an address at all
// has an empty Domain.
func ParseAddresses(value []byte, limit int) []Mailbox {
	if limit <= 0 {
		limit = defaultAddresses
	}
	var list []Mailbox
	x := addressLexer{lexer: lexer{b: value, keep: true}}
	for len(list) < limit && x.next() {
		switch x.kind {
		case groupStart:
			list = append(list, Mailbox{Name: DecodeHeader(x.name), Group: true})
		case mailbox:
			list = append(list, Mailbox{Name: DecodeHeader(x.name),
				Address: mail.Address{Local: string(x.local), Domain: foldDomain(x.domain)}})
		}
	}
	return list
}

// A Group is a run of mailboxes of an address-list: a named group, or what stands
// outside of groups.
type Group struct {
	Name    string
	Named   bool
	Members []Mailbox
}

// ParseGroups parses an address-list as ParseAddresses does, and keeps what belongs
// to which group.
func ParseGroups(value []byte, limit int) []Group {
	if limit <= 0 {
		limit = defaultAddresses
	}
	var list []Group
	open := false // the last of list takes members
	x := addressLexer{lexer: lexer{b: value, keep: true}}
	for n := 0; n < limit && x.next(); n++ {
		switch x.kind {
		case groupStart:
			list, open = append(list, Group{Name: DecodeHeader(x.name), Named: true}), true
		case groupEnd:
			open = false
		case mailbox:
			if !open {
				list, open = append(list, Group{}), true
			}
			g := &list[len(list)-1]
			g.Members = append(g.Members, Mailbox{Name: DecodeHeader(x.name),
				Address: mail.Address{Local: string(x.local), Domain: foldDomain(x.domain)}})
		}
	}
	return list
}

// foldDomain brings a domain to lower case and cuts its trailing dot. A-labels stay
// as they are.
func foldDomain(b []byte) mail.Domain {
	return mail.Domain(strings.ToLower(string(bytes.TrimSuffix(b, []byte(".")))))
}

// Addresses returns the mailboxes of all fields called name, at most
// Limits.Addresses.
func (h *Header) Addresses(name string) []Mailbox {
	var list []Mailbox
	for _, f := range h.fields {
		if h.named(f, name) && len(list) < h.addresses {
			list = append(list, ParseAddresses(h.value(f), h.addresses-len(list))...)
		}
	}
	return list
}

type addressKind uint8

const (
	mailbox addressKind = iota
	groupStart
	groupEnd
)

// An addressLexer yields the elements of an address-list, RFC 5322 §3.4 with
// the obsolete forms of §4.4, and makes the best of what is neither. The slices
// are valid until the next call.
type addressLexer struct {
	lexer
	kind    addressKind
	hasName bool
	broken  bool // "<" without a proper address behind it
	inGroup bool
	name    []byte // display name, unquoted; of a group its name
	route   []byte // obsolete source route, as "@a,@b"
	local   []byte // unquoted local part
	domain  []byte
	words   []byte // what of the phrase could be a local part: its last word
	before  int    // length of name where that word began
	many    bool   // the phrase has several words, or is quoted
}

// next reads the next element; it is false at the end of the list.
func (x *addressLexer) next() bool {
	x.reset()
	for {
		x.skip()
		switch c := x.peek(); {
		case !x.more():
			if !x.empty() {
				return x.finish()
			}
			if x.inGroup {
				return x.endGroup()
			}
			return false
		case c == ',':
			x.i++
			if !x.empty() {
				return x.finish()
			}
			x.reset()
		case c == ';':
			x.i++
			if !x.empty() {
				if x.inGroup {
					x.i-- // the group ends on the next call
				}
				return x.finish()
			}
			if x.inGroup {
				return x.endGroup()
			}
			x.reset()
		case c == ':' && !x.inGroup && len(x.words) > 0 && len(x.domain) == 0:
			x.i++
			x.kind, x.inGroup, x.comment = groupStart, true, x.comment[:0]
			return true
		case c == '<':
			x.angle()
			x.toSeparator()
			return x.finish()
		case c == '@':
			if x.addrSpec() {
				return x.finish()
			}
		default:
			x.word()
		}
	}
}

// addrSpec reads "@" domain; what stood before it is a local part, and words
// before that a name that lacks its angle brackets. It is false if all of it
// turns out to be the display name of an address in angle brackets.
func (x *addressLexer) addrSpec() bool {
	start := x.i
	x.i++
	x.local = append(x.local[:0], x.words...)
	x.domain = x.readDomain(x.domain[:0])
	if x.skip(); x.peek() == '<' {
		x.name = append(x.name, trimSpace(x.b[start:x.i])...)
		x.local, x.domain, x.hasName, x.many = x.local[:0], x.domain[:0], true, true
		return false
	}
	x.name = trimSpace(x.name[:x.before])
	x.hasName = len(x.name) > 0
	x.toSeparator()
	return true
}

func (x *addressLexer) reset() {
	x.kind, x.hasName, x.broken = mailbox, false, false
	x.name, x.route, x.local, x.domain = x.name[:0], x.route[:0], x.local[:0], x.domain[:0]
	x.words, x.comment = x.words[:0], x.comment[:0]
	x.before, x.many = 0, false
}

func (x *addressLexer) empty() bool {
	return len(x.words) == 0 && !x.hasName && len(x.local) == 0 && len(x.domain) == 0 && !x.broken
}

func (x *addressLexer) endGroup() bool {
	x.reset()
	x.kind, x.inGroup = groupEnd, false
	return true
}

// finish completes a mailbox from what was read.
func (x *addressLexer) finish() bool {
	if len(x.local) == 0 && len(x.domain) == 0 && !x.broken && !x.many { // a word, but no "@" and no "<"
		x.local = append(x.local, x.words...)
		x.name, x.hasName = x.name[:0], false
	}
	if !x.hasName && len(x.comment) > 0 { // user@host (Display Name), the old way
		x.name = append(x.name[:0], trimSpace(x.comment)...)
		x.hasName = len(x.name) > 0
	}
	return true
}

// word reads an atom, a quoted string, a domain literal or a stray special of a
// phrase or local part.
func (x *addressLexer) word() {
	c := x.peek()
	spaced := x.i > 0 && (isSpace(x.b[x.i-1]) || x.b[x.i-1] == ')')
	if joined := c == '.' || len(x.words) > 0 && x.words[len(x.words)-1] == '.'; spaced && len(x.name) > 0 {
		if c != '.' {
			x.name = append(x.name, ' ')
		}
		if !joined { // another word; spaces around dots are obsolete but legal in a local part
			x.words, x.before, x.many = x.words[:0], len(x.name), true
		}
	}
	n := len(x.name)
	switch {
	case c == '"':
		x.name = x.quoted(x.name)
		x.hasName, x.many = true, true
	case notAtom[c]:
		x.name = append(x.name, c)
		x.i++
	default:
		x.name = append(x.name, x.run(notAtom)...)
	}
	x.words = append(x.words, x.name[n:]...)
	x.hasName = x.hasName || len(x.name) > 0
}

// angle reads "<" [route ":"] addr-spec ">".
func (x *addressLexer) angle() {
	x.i++
	x.comment = x.comment[:0]
	x.hasName = x.hasName && len(x.name) > 0
	x.skip()
	if x.peek() == '@' {
		x.readRoute()
	}
	for x.skip(); x.more(); x.skip() {
		switch c := x.peek(); {
		case c == '"':
			x.local = x.quoted(x.local)
			continue
		case c == '@':
			x.i++
			x.domain = x.readDomain(x.domain[:0])
			x.closeAngle()
			return
		case c == '>':
			x.i++
			x.broken = true
			return
		case c == ',' || c == ';' || c == '<':
			x.broken = true
			return
		case c == ':' || notAtom[c]:
			x.local = append(x.local, c)
			x.i++
			continue
		}
		x.local = append(x.local, x.run(notAtom)...)
	}
	x.broken = true
}

// readRoute reads an obsolete source route, RFC 5322 §4.4 (obs-route).
func (x *addressLexer) readRoute() {
	for x.peek() == '@' {
		if len(x.route) > 0 {
			x.route = append(x.route, ',')
		}
		x.i++
		x.route = x.readDomain(append(x.route, '@'))
		for x.skip(); x.peek() == ','; x.skip() {
			x.i++
		}
	}
	if x.peek() == ':' {
		x.i++
		return
	}
	if n := bytes.LastIndexByte(x.route, '@'); n >= 0 { // "<@host>": no route at all
		x.domain = append(x.domain, x.route[n+1:]...)
		x.route = x.route[:0]
	}
}

// closeAngle moves behind ">" or to the separator where it is missing.
func (x *addressLexer) closeAngle() {
	for x.skip(); x.more(); x.skip() {
		switch x.peek() {
		case '>':
			x.i++
			return
		case ',', ';':
			x.broken = true
			return
		}
		x.broken = true
		x.i++
	}
	x.broken = true
}

// readDomain appends a domain or an address literal to dst.
func (x *addressLexer) readDomain(dst []byte) []byte {
	n := len(dst)
	for x.skip(); x.more(); {
		switch c := x.peek(); {
		case c == '[':
			for ; x.more() && x.peek() != ']' && x.peek() != ',' && x.peek() != '>'; x.i++ {
				if !isSpace(x.peek()) {
					dst = append(dst, x.peek())
				}
			}
			if x.peek() == ']' {
				dst = append(dst, ']')
				x.i++
			}
		case c == '.':
			dst = append(dst, c)
			x.i++
		case notAtom[c] || len(dst) > n && dst[len(dst)-1] != '.':
			return dst
		default:
			dst = append(dst, x.run(notAtom)...)
		}
		x.skip()
	}
	return dst
}

// toSeparator moves the cursor behind the next "," or to the next ";" of a
// group; what lies between belongs to no address.
func (x *addressLexer) toSeparator() {
	for x.skip(); x.more(); x.skip() {
		switch x.peek() {
		case ',':
			x.i++
			return
		case ';':
			if !x.inGroup {
				x.i++
			}
			return
		case '"':
			x.comment = append(x.comment, x.quoted(nil)...)
			continue
		}
		x.i++
	}
}
