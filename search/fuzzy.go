package search

import (
	"bytes"
	"io"
	"strings"

	"posthouse/message"
)

// Fuzzy matches what its key roughly matches, RFC 6203 §3: the strings in it are
// looked for word by word, in any order, as beginnings and parts of words and with
// a letter or two wrong. Flags, dates and numbers match exactly, and so does what
// stands behind Not. [RunScored] tells how well a message matches.
type Fuzzy struct{ Key Key }

func (k Fuzzy) cost() cost                        { return k.Key.cost() }
func (k Fuzzy) eval(c *candidate) (answer, error) { return prepare(k).eval(c) }

// How well a word of the text is one that is looked for, of 100. Weights of the
// places come on top, in hundredths.
const (
	wordSame   = 100
	wordBegins = 85
	wordHolds  = 65
	wordOneOff = 60
	wordTwoOff = 45

	weightSubject = 100
	weightHeader  = 90
	weightBody    = 70
	wordsApart    = 90 // all words are there, not as the phrase
)

const (
	maxFuzzyWords = 16   // further ones are not looked for
	maxFuzzyWord  = 64   // longer ones are not compared letter by letter
	maxToken      = 4096 // longer runs of letters are cut
)

// loosen makes the strings in a key fuzzy.
func loosen(k Key) Key {
	switch k := k.(type) {
	case And:
		out := make(And, len(k))
		for i := range k {
			out[i] = loosen(k[i])
		}
		return And(cheapFirst(out))
	case Or:
		out := make(Or, len(k))
		for i := range k {
			out[i] = loosen(k[i])
		}
		return Or(cheapFirst(out))
	case Header:
		if f := newFuzzyNeedle(k.Text); f != nil {
			f.name = k.Name
			return f
		}
	case Body:
		if f := newFuzzyNeedle(string(k)); f != nil {
			f.body = true
			return f
		}
	case Text:
		if f := newFuzzyNeedle(string(k)); f != nil {
			f.body, f.header = true, true
			return f
		}
	}
	return prepare(k)
}

// A fuzzyNeedle looks for words: in the fields of a name, in the text, or in the
// whole header and the text.
type fuzzyNeedle struct {
	name         string
	header, body bool
	words        [][]byte
}

// newFuzzyNeedle returns nil for a string without words.
func newFuzzyNeedle(s string) *fuzzyNeedle {
	f := &fuzzyNeedle{}
	var t tokens
	t.add(fold(nil, []byte(s)), true, func(w []byte) {
		if len(f.words) < maxFuzzyWords {
			f.words = append(f.words, bytes.Clone(w))
		}
	})
	if len(f.words) == 0 {
		return nil
	}
	return f
}

func (f *fuzzyNeedle) cost() cost {
	if f.body {
		return byText
	}
	return byHeader
}

func (f *fuzzyNeedle) eval(c *candidate) (answer, error) {
	if !c.bytes {
		return unknown, nil
	}
	if err := c.load(); err != nil {
		return no, err
	}
	g := gauge{words: f.words}
	switch {
	case f.name != "":
		weight := weightHeader
		if strings.EqualFold(f.name, "Subject") {
			weight = weightSubject
		}
		for name, value := range c.msg.head.All() {
			if strings.EqualFold(name, f.name) {
				g.text(c, []byte(message.DecodeHeader(value)), weight)
			}
		}
	default:
		if f.header {
			for name, value := range c.msg.head.All() {
				weight := weightHeader
				if strings.EqualFold(name, "Subject") {
					weight = weightSubject
				}
				g.text(c, []byte(message.DecodeHeader(value)), weight)
			}
		}
		parts, err := c.parts()
		if err != nil {
			return no, err
		}
		for i := range parts {
			if p := &parts[i]; p.Children == 0 && p.IsText() {
				if err := g.reader(c, c.text(p)); err != nil {
					return no, err
				}
			}
		}
	}
	score := g.score()
	if score > 0 {
		c.hit(score)
	}
	return decided(score > 0), nil
}

// A gauge measures how well texts hold the words.
type gauge struct {
	words  [][]byte
	best   [maxFuzzyWords]int // of each word
	phrase int                // the best weight with which all stood in their order
	run    int                // of the phrase, where the last word of the text ended
	tokens tokens
}

// text looks through one text.
func (g *gauge) text(c *candidate, s []byte, weight int) {
	c.scratch.folded = fold(c.scratch.folded[:0], s)
	g.run = 0
	g.tokens.add(c.scratch.folded, true, func(w []byte) { g.word(w, weight) })
}

// reader looks through the text of a part, which is never held whole.
func (g *gauge) reader(c *candidate, r io.Reader) error {
	s := &c.scratch
	if cap(s.raw) < chunk {
		s.raw = make([]byte, chunk)
	}
	raw, held := s.raw[:chunk], 0
	g.run = 0
	for {
		k, err := io.ReadFull(r, raw[held:])
		whole := held + k
		end := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !end {
			return err
		}
		cut := whole
		if !end {
			cut = wholeRunes(raw[:whole])
		}
		s.folded = fold(s.folded[:0], raw[:cut])
		g.tokens.add(s.folded, end, func(w []byte) { g.word(w, weightBody) })
		if end {
			return nil
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		held = copy(raw, raw[cut:whole])
	}
}

// word takes in one word of a text.
func (g *gauge) word(w []byte, weight int) {
	for i, want := range g.words {
		g.best[i] = max(g.best[i], likeness(w, want)*weight/100)
	}
	if !bytes.Equal(w, g.words[g.run]) {
		if g.run = 0; !bytes.Equal(w, g.words[0]) {
			return
		}
	}
	if g.run++; g.run == len(g.words) {
		g.phrase, g.run = max(g.phrase, weight), 0
	}
}

// score is 0 if a word is missing.
func (g *gauge) score() int {
	sum := 0
	for i := range g.words {
		if g.best[i] == 0 {
			return 0
		}
		sum += g.best[i]
	}
	score := sum / len(g.words)
	if len(g.words) > 1 {
		score = score * wordsApart / 100
	}
	return max(score, g.phrase, 1)
}

// likeness says how well the word w of a text is the one that is looked for; 0: not
// at all. Both are folded.
func likeness(w, want []byte) int {
	switch {
	case bytes.HasPrefix(w, want):
		if len(w) == len(want) {
			return wordSame
		}
		return wordBegins
	case bytes.Contains(w, want):
		return wordHolds
	}
	wrong := 0
	switch n := len(want); {
	case n > maxFuzzyWord:
	case n >= 8:
		wrong = 2
	case n >= 4:
		wrong = 1
	}
	if wrong == 0 || w[0] != want[0] || len(w) > len(want)+wrong || len(w) < len(want)-wrong {
		return 0
	}
	switch d := distance(w, want); {
	case d > wrong:
		return 0
	case d == 2:
		return wordTwoOff
	}
	return wordOneOff
}

// distance counts the letters that are wrong, missing, too many, or two that changed
// places (optimal string alignment). Neither is longer than maxFuzzyWord+2.
func distance(a, b []byte) int {
	var rows [3][maxFuzzyWord + 4]int
	for j := range len(b) + 1 {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		two, one, now := &rows[(i+2)%3], &rows[(i+3)%3], &rows[(i+1)%3]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(one[j]+1, now[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], two[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}

// tokens splits folded text into words, which may come in pieces. Combining marks
// are dropped: "cafe" is "café".
type tokens struct{ word []byte }

// add calls found with each word of b; end says that the last one is whole. The word
// is valid during the call only.
func (t *tokens) add(b []byte, end bool, found func(w []byte)) {
	flush := func() {
		if len(t.word) > 0 {
			found(t.word)
			t.word = t.word[:0]
		}
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c-'A' < 26, c-'0' < 10, c-'a' < 26:
		case c < 0x80:
			flush()
			continue
		case (c == 0xcc || c == 0xcd && i+1 < len(b) && b[i+1] < 0xb0) && i+1 < len(b): // U+0300 to U+036F
			i++
			continue
		case (c == 0xe2 && i+2 < len(b) && b[i+1] < 0x82) || (c == 0xe3 && i+2 < len(b) && b[i+1] == 0x80): // U+2000 to U+207F, U+3000 to U+303F
			flush()
			i += 2
			continue
		}
		if len(t.word) >= maxToken {
			flush()
		}
		t.word = append(t.word, c)
	}
	if end {
		flush()
	}
}
