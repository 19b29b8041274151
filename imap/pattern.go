package imap

import (
	"strings"
)

// A pattern is a mailbox pattern of LIST, RFC 9051 §6.3.9.4: "*" stands for
// anything, "%" for anything without a "/". It matches in time linear in the
// name, whatever the pattern: all places where it could be are followed at once,
// as bits.
type pattern struct {
	all      bool // "*"
	plain    string
	literal  bool // no wildcard
	words    int
	class    [256]uint8 // of each byte; 0: not in the pattern
	masks    []uint64   // for each class, the places that it leads on from
	star     []uint64   // places of "*"
	wild     []uint64   // places of any wildcard
	accept   int
	now, one []uint64
}

// newPattern prepares a pattern. A run of wildcards is one.
func newPattern(s string) *pattern {
	p := &pattern{plain: s}
	if !strings.ContainsAny(s, "*%") {
		p.literal = true
		return p
	}
	var elems []byte
	for i := range len(s) {
		c := s[i]
		if n := len(elems); n > 0 && isWild(c) && isWild(elems[n-1]) {
			if c == '*' {
				elems[n-1] = '*'
			}
			continue
		}
		elems = append(elems, c)
	}
	if string(elems) == "*" {
		p.all = true
		return p
	}
	p.compile(elems)
	return p
}

func isWild(c byte) bool { return c == '*' || c == '%' }

func (p *pattern) compile(elems []byte) {
	p.words = len(elems)/64 + 1
	p.star, p.wild = make([]uint64, p.words), make([]uint64, p.words)
	p.now, p.one = make([]uint64, p.words), make([]uint64, p.words)
	p.masks = make([]uint64, p.words) // of class 0: nowhere
	p.accept = len(elems)
	classes := uint8(0)
	for i, c := range elems {
		w, bit := i/64, uint64(1)<<(i%64)
		if isWild(c) {
			p.wild[w] |= bit
			if c == '*' {
				p.star[w] |= bit
			}
			continue
		}
		if p.class[c] == 0 {
			if classes == 255 {
				continue // cannot be: UTF-8 has fewer bytes and two are wildcards
			}
			classes++
			p.class[c] = classes
			p.masks = append(p.masks, make([]uint64, p.words)...)
		}
		p.masks[int(p.class[c])*p.words+w] |= bit
	}
}

// match reports whether name matches. It is for one goroutine at a time.
func (p *pattern) match(name string) bool {
	if p.all || p.literal {
		return p.all || p.plain == name
	}
	clear(p.now)
	p.now[0] = 1
	p.skipWild()
	for i := range len(name) {
		if !p.step(name[i]) {
			return false
		}
	}
	return p.now[p.accept/64]>>(p.accept%64)&1 == 1
}

// step follows one byte of the name from all places at once.
func (p *pattern) step(c byte) (alive bool) {
	mask := p.masks[int(p.class[c])*p.words:][:p.words]
	stay := p.wild
	if c == '/' {
		stay = p.star
	}
	var carry, any uint64
	for w, now := range p.now {
		moved := now & mask[w]
		p.one[w] = now&stay[w] | moved<<1 | carry
		carry = moved >> 63
		any |= p.one[w]
	}
	p.now, p.one = p.one, p.now
	p.skipWild()
	return any != 0
}

// skipWild lets each wildcard stand for nothing: one step is enough, for no two
// are neighbours.
func (p *pattern) skipWild() {
	var carry uint64
	for w := range p.now {
		skip := p.now[w] & p.wild[w]
		p.now[w] |= skip<<1 | carry
		carry = skip >> 63
	}
}

// A matcher is the patterns of one LIST. INBOX matches in any case (RFC 9051
// §5.1), so there is a second form of them for it.
type matcher struct {
	patterns, inbox []*pattern
}

func newMatcher(ref string, patterns []string) *matcher {
	m := &matcher{}
	for _, p := range patterns {
		full := canonicalInbox(ref + p)
		m.patterns = append(m.patterns, newPattern(full))
		m.inbox = append(m.inbox, newPattern(strings.ToUpper(full)))
	}
	return m
}

func (m *matcher) match(path string) bool {
	for _, p := range m.patterns {
		if p.match(path) {
			return true
		}
	}
	if path == "INBOX" {
		for _, p := range m.inbox {
			if p.match(path) {
				return true
			}
		}
	}
	return false
}

// canonicalInbox spells the first level of a path INBOX if it is that.
func canonicalInbox(path string) string {
	const inbox = "INBOX"
	if len(path) >= len(inbox) && strings.EqualFold(path[:len(inbox)], inbox) &&
		(len(path) == len(inbox) || path[len(inbox)] == '/') {
		return inbox + path[len(inbox):]
	}
	return path
}
