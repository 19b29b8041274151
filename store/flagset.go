package store

import (
	"encoding/binary"
	"slices"
	"strings"

	"posthouse/mail"
)

// A flagSet is what a FlagSet number stands for. Immutable.
type flagSet struct {
	system   uint8
	keywords []uint16 // ascending numbers of keywords
	text     string   // rendered; "" if that was too long to keep
	free     bool     // nothing has the set: its number may be given again
}

// A flagTable gives flag sets and keywords their numbers. Its slices are shared between
// states, each of which sees its own length of them: it grows behind their end, and
// numbers that were freed are given again in a copy, see [Tx.sweepFlags].
type flagTable struct {
	sets     []flagSet   // by FlagSet; 0 is the empty set
	keywords []mail.Flag // "" is free
	rendered int         // bytes of kept texts

	freeSets, freeKeywords int       // how many
	reusedSets             []FlagSet // given again by the transaction
	reusedKeywords         []uint16
}

// maxRendered bounds the rendered texts that one account keeps in memory.
const maxRendered = 1 << 20

// maxFlagSets bounds the different combinations of flags of one account.
const maxFlagSets = 1 << 15

// A flagIndex finds numbers again, but for that of the empty set. It belongs to the writer of an account; its
// entries are hints that may outlive a transaction that failed, so each is
// verified against the table.
type flagIndex struct {
	sets     map[string]FlagSet
	keywords map[string]uint16
}

var systemFlags = [...]mail.Flag{mail.FlagSeen, mail.FlagAnswered, mail.FlagFlagged, mail.FlagDeleted, mail.FlagDraft}

// systemBit returns the bit of a system flag, or 0.
func systemBit(f mail.Flag) uint8 {
	for i, s := range systemFlags {
		if len(s) == len(f) && strings.EqualFold(string(s), string(f)) {
			return 1 << i
		}
	}
	return 0
}

func newFlagTable() flagTable { return flagTable{sets: []flagSet{{}}} }

func newFlagIndex(t *flagTable) flagIndex {
	var x flagIndex
	for i := 1; i < len(t.sets); i++ {
		if !t.sets[i].free {
			x.putSet(t.sets[i].key(), FlagSet(i))
		}
	}
	for i, k := range t.keywords {
		if k == "" {
			continue
		}
		x.putKeyword(strings.ToLower(string(k)), uint16(i))
	}
	return x
}

func (x *flagIndex) putSet(key string, n FlagSet) {
	if x.sets == nil {
		x.sets = map[string]FlagSet{}
	}
	x.sets[key] = n
}

func (x *flagIndex) putKeyword(key string, n uint16) {
	if x.keywords == nil {
		x.keywords = map[string]uint16{}
	}
	x.keywords[key] = n
}

// key is the identity of a set, as a map key.
func (s *flagSet) key() string {
	b := make([]byte, 1, 1+2*len(s.keywords))
	b[0] = s.system
	for _, k := range s.keywords {
		b = binary.BigEndian.AppendUint16(b, k)
	}
	return string(b)
}

func (s *flagSet) equal(o *flagSet) bool {
	return s.system == o.system && s.free == o.free && slices.Equal(s.keywords, o.keywords)
}

// add gives a set its number. The caller knows that the table does not have it.
func (t *flagTable) add(s flagSet) FlagSet {
	if text := t.render(&s); t.rendered+len(text) <= maxRendered {
		s.text = text
		t.rendered += len(text)
	}
	if t.freeSets == 0 {
		t.sets = append(t.sets, s)
		return FlagSet(len(t.sets) - 1)
	}
	n := slices.IndexFunc(t.sets, func(o flagSet) bool { return o.free })
	t.sets = slices.Clone(t.sets)
	t.sets[n] = s
	t.freeSets--
	t.reusedSets = append(slices.Clip(t.reusedSets), FlagSet(n))
	return FlagSet(n)
}

// addKeyword gives a keyword its number. The caller knows that the table does not have
// it.
func (t *flagTable) addKeyword(f mail.Flag) uint16 {
	if t.freeKeywords == 0 {
		t.keywords = append(t.keywords, f)
		return uint16(len(t.keywords) - 1)
	}
	n := slices.Index(t.keywords, "")
	t.keywords = slices.Clone(t.keywords)
	t.keywords[n] = f
	t.freeKeywords--
	t.reusedKeywords = append(slices.Clip(t.reusedKeywords), uint16(n))
	return uint16(n)
}

// words lists the keywords. The slice may be kept.
func (t *flagTable) words() []mail.Flag {
	if t.freeKeywords == 0 {
		return slices.Clip(t.keywords)
	}
	return slices.DeleteFunc(slices.Clone(t.keywords), func(f mail.Flag) bool { return f == "" })
}

func (t *flagTable) render(s *flagSet) string {
	var b []byte
	for i, f := range systemFlags {
		if s.system&(1<<i) != 0 {
			b = append(append(b, ' '), f...)
		}
	}
	for _, k := range s.keywords {
		b = append(append(b, ' '), t.keywords[k]...)
	}
	if len(b) == 0 {
		return ""
	}
	return string(b[1:])
}

// seenFlipped marks the number of a set that is to be read with \Seen the other way:
// on mailboxes of others \Seen is one's own, and the table may lack the set. Such
// numbers are never stored.
const seenFlipped FlagSet = 1 << 31

// at returns the set of a number, the empty one if there is none.
func (t *flagTable) at(n FlagSet) flagSet {
	i := n &^ seenFlipped
	if int(i) >= len(t.sets) {
		return flagSet{}
	}
	s := t.sets[i]
	if n != i {
		s.system ^= SeenBit
		s.text = ""
	}
	return s
}

// flip returns the number of the set that differs from that of n in \Seen only.
func (t *flagTable) flip(n FlagSet) FlagSet {
	want := t.at(n ^ seenFlipped)
	if m, err := t.find(want); err == nil {
		return m
	}
	return n ^ seenFlipped
}

// text returns the flags of a set in words.
func (t *flagTable) text(n FlagSet) string {
	s := t.at(n)
	if s.text == "" && n != 0 {
		return t.render(&s)
	}
	return s.text
}

func (t *flagTable) system(n FlagSet) uint8 {
	if int(n) < len(t.sets) {
		return t.sets[n].system
	}
	s := t.at(n)
	return s.system
}

// combine applies a change to a set.
func combine(op FlagOp, old, mask *flagSet) flagSet {
	switch op {
	case FlagsAdd:
		return flagSet{system: old.system | mask.system, keywords: mergeKeywords(old.keywords, mask.keywords)}
	case FlagsRemove:
		var keep []uint16
		for _, k := range old.keywords {
			if _, found := slices.BinarySearch(mask.keywords, k); !found {
				keep = append(keep, k)
			}
		}
		return flagSet{system: old.system &^ mask.system, keywords: keep}
	}
	n := flagSet{system: mask.system, keywords: mask.keywords}
	if keep := op.keeps(); keep != 0 {
		n.system = n.system&^keep | old.system&keep
	}
	if op == flagsReplaceDeleted {
		n.keywords = old.keywords
	}
	return n
}

// keeps returns the system flags that a replacement leaves as they are.
func (op FlagOp) keeps() uint8 {
	switch op {
	case flagsReplaceShared:
		return SeenBit
	case flagsReplaceWritten:
		return SeenBit | DeletedBit
	case flagsReplaceDeleted:
		return ^DeletedBit
	}
	return 0
}

func mergeKeywords(a, b []uint16) []uint16 {
	if len(b) == 0 {
		return a
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// number returns the number of a set, giving it one if it is new.
func (x *flagIndex) number(t *flagTable, s flagSet) (FlagSet, error) {
	if s.system == 0 && len(s.keywords) == 0 {
		return 0, nil
	}
	key := s.key()
	if n, ok := x.sets[key]; ok && int(n) < len(t.sets) && t.sets[n].equal(&s) {
		return n, nil
	}
	if len(t.sets)-t.freeSets >= maxFlagSets {
		return 0, &mail.Error{Kind: mail.TooLarge, Op: "store.flags", Text: "too many combinations of flags", Err: ErrTooManyKeywords}
	}
	n := t.add(s)
	x.putSet(key, n)
	return n, nil
}

// set makes a flag set of flags, giving numbers to keywords that are new.
func (x *flagIndex) set(t *flagTable, flags []mail.Flag, l *Limits) (flagSet, error) {
	var s flagSet
	for _, f := range flags {
		if bit := systemBit(f); bit != 0 {
			s.system |= bit
			continue
		}
		if strings.EqualFold(string(f), string(mail.FlagRecent)) {
			continue // belongs to sessions, RFC 9051 §2.3.2
		}
		n, err := x.keyword(t, f, l)
		if err != nil {
			return flagSet{}, err
		}
		s.keywords = append(s.keywords, n)
	}
	slices.Sort(s.keywords)
	s.keywords = slices.Compact(s.keywords)
	return s, nil
}

func (x *flagIndex) keyword(t *flagTable, f mail.Flag, l *Limits) (uint16, error) {
	if err := validKeyword(f, l); err != nil {
		return 0, err
	}
	key := strings.ToLower(string(f))
	if n, ok := x.keywords[key]; ok && int(n) < len(t.keywords) && strings.EqualFold(string(t.keywords[n]), string(f)) {
		return n, nil
	}
	if len(t.keywords)-t.freeKeywords >= l.Keywords {
		return 0, &mail.Error{Kind: mail.TooLarge, Op: "store.flags", Text: "too many keywords", Err: ErrTooManyKeywords}
	}
	n := t.addKeyword(f)
	x.putKeyword(key, n)
	return n, nil
}

// validKeyword checks that f is a flag-keyword, RFC 9051 §9: an atom.
func validKeyword(f mail.Flag, l *Limits) error {
	if len(f) > l.KeywordBytes {
		return &mail.Error{Kind: mail.TooLarge, Op: "store.flags", Text: "keyword too long"}
	}
	ok := f != ""
	for i := range len(f) {
		if c := f[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("(){%*\"\\]", c) >= 0 {
			ok = false
		}
	}
	if !ok {
		return &mail.Error{Kind: mail.Invalid, Op: "store.flags", Text: "not a valid flag"}
	}
	return nil
}
