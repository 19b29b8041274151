package search

import (
	"cmp"
	"slices"

	"posthouse/mail"
	"posthouse/store"
)

// A candidate is the message in question and what was loaded of it so far.
type candidate struct {
	*run
	row   store.Row
	email *store.Email // nil until loaded
	bytes bool         // the message's bytes may be read
	msg   loaded       // its bytes, see text.go

	scores, hits int // of fuzzy keys that matched

	flag struct { // the last answer of a Flag: neighbours are often alike
		key Flag
		set store.FlagSet
		has bool
	}
}

// hit notes how well a fuzzy key matched.
func (c *candidate) hit(score int) {
	c.scores += score
	c.hits++
}

// score is how well the message matched, 1 to 100. What matched exactly is certain.
func (c *candidate) score() uint8 {
	if c.hits == 0 {
		return 100
	}
	return uint8(max(1, min(100, c.scores/c.hits)))
}

func (All) cost() cost                      { return byRow }
func (All) eval(*candidate) (answer, error) { return yes, nil }
func (k And) cost() cost                    { return dearest(k) }
func (k Or) cost() cost                     { return dearest(k) }
func (k Not) cost() cost                    { return k.Key.cost() }
func (UIDs) cost() cost                     { return byRow }
func (Flag) cost() cost                     { return byRow }
func (Larger) cost() cost                   { return byRow }
func (Smaller) cost() cost                  { return byRow }
func (ModSeq) cost() cost                   { return byRow }
func (Received) cost() cost                 { return byRow }
func (Saved) cost() cost                    { return byRow }
func (EmailID) cost() cost                  { return byRow }
func (Last) cost() cost                     { return byRow }
func (Rows) cost() cost                     { return byRow }
func (Sent) cost() cost                     { return byRecord }
func (ThreadID) cost() cost                 { return byRecord }
func (HasAttachment) cost() cost            { return byRecord }
func (Header) cost() cost                   { return byHeader }
func (Body) cost() cost                     { return byText }
func (Text) cost() cost                     { return byText }

func dearest(keys []Key) cost {
	top := byRow
	for _, k := range keys {
		top = max(top, k.cost())
	}
	return top
}

// cheapFirst orders a key's children so that the dear ones are asked last.
func cheapFirst(keys []Key) []Key {
	out := make([]Key, len(keys))
	for i, k := range keys {
		out[i] = prepare(k)
	}
	slices.SortStableFunc(out, func(a, b Key) int { return cmp.Compare(a.cost(), b.cost()) })
	return out
}

// prepare returns k in the order in which it is cheapest to evaluate, its
// strings folded.
func prepare(k Key) Key {
	switch k := k.(type) {
	case And:
		return And(cheapFirst(k))
	case Or:
		return Or(cheapFirst(k))
	case Not:
		return Not{prepare(k.Key)}
	case Fuzzy:
		return loosen(k.Key)
	case Header:
		return newHeaderNeedle(k)
	case Body:
		return textNeedle{needle: newNeedle(string(k))}
	case Text:
		return textNeedle{needle: newNeedle(string(k)), header: true}
	}
	return k
}

func (k And) eval(c *candidate) (answer, error) {
	return evalAll(c, k, no, yes)
}

func (k Or) eval(c *candidate) (answer, error) {
	return evalAll(c, k, yes, no)
}

// evalAll asks keys until one gives the answer that settles the whole; without
// that it is otherwise, unless a key could not be answered yet.
func evalAll(c *candidate, keys []Key, settles, otherwise answer) (answer, error) {
	for _, k := range keys {
		a, err := k.eval(c)
		if err != nil || a == settles {
			return a, err
		}
		if a == unknown {
			otherwise = unknown
		}
	}
	return otherwise, nil
}

func (k Not) eval(c *candidate) (answer, error) {
	switch a, err := k.Key.eval(c); {
	case err != nil || a == unknown:
		return a, err
	case a == yes:
		return no, nil
	}
	return yes, nil
}

func (k UIDs) eval(c *candidate) (answer, error) {
	return decided(store.UIDSet(k).Contains(c.row.UID)), nil
}

func (k Flag) eval(c *candidate) (answer, error) {
	if l := &c.flag; l.set != c.row.Flags || l.key != k {
		l.key, l.set, l.has = k, c.row.Flags, c.snap.Has(c.row.Flags, mail.Flag(k))
	}
	return decided(c.flag.has), nil
}

func (k Larger) eval(c *candidate) (answer, error) {
	return decided(int64(c.row.Size) > int64(k)), nil
}

func (k Smaller) eval(c *candidate) (answer, error) {
	return decided(int64(c.row.Size) < int64(k)), nil
}

func (k ModSeq) eval(c *candidate) (answer, error) {
	return decided(c.row.ModSeq >= store.ModSeq(k)), nil
}

func (k Received) eval(c *candidate) (answer, error) {
	return decided(Span(k).holdsUnix(c.row.InternalDate)), nil
}

func (k Saved) eval(c *candidate) (answer, error) {
	return decided(Span(k).holdsUnix(c.row.SaveDate)), nil
}

func (Last) eval(c *candidate) (answer, error) {
	return decided(c.row.UID == c.snap.UID(c.snap.Len()-1)), nil
}

func (k Rows) eval(c *candidate) (answer, error) { return decided(k(c.row)), nil }

func (k EmailID) eval(c *candidate) (answer, error) {
	return decided(c.row.Email == store.EmailID(k)), nil
}

func (k Sent) eval(c *candidate) (answer, error) {
	if c.email == nil {
		return unknown, nil
	}
	return decided(!c.email.Sent.IsZero() && Span(k).holdsDay(c.email.Sent)), nil
}

func (k ThreadID) eval(c *candidate) (answer, error) {
	if c.email == nil {
		return unknown, nil
	}
	return decided(c.email.Thread == store.ThreadID(k)), nil
}

func (HasAttachment) eval(c *candidate) (answer, error) {
	if c.email == nil {
		return unknown, nil
	}
	return decided(c.email.HasAttachment), nil
}

// The API's own keys for strings are replaced by folded ones before a run.
func (k Header) eval(c *candidate) (answer, error) { return prepare(k).eval(c) }
func (k Body) eval(c *candidate) (answer, error)   { return prepare(k).eval(c) }
func (k Text) eval(c *candidate) (answer, error)   { return prepare(k).eval(c) }
