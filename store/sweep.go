package store

import "errors"

// ErrTooManyKeywords is in the chain of errors that are due to a lack of numbers for keywords
// or flag sets.
var ErrTooManyKeywords = errors.New("no numbers left for flags")

// sweepEvery is how many transactions pass before flags are looked through again.
const sweepEvery = 100

// sweepFlags frees the numbers of keywords and flag sets that no message has, also none
// that can be put back, and reports whether there were any. With it comes a checkpoint:
// the journal before it names numbers that may mean something else from then on, and is
// never replayed. Snapshots keep their own table.
func (tx *Tx) sweepFlags() bool {
	a := tx.acct
	if a.swept != 0 && tx.modseq < a.swept+sweepEvery {
		return false
	}
	a.swept = tx.modseq
	used, err := tx.usedSets()
	if err != nil {
		a.warnCheckpoint(tx.group.ctx, err) // a damaged mailbox: what it uses is not known
		return false
	}
	t := tx.st.flags
	words := make([]bool, len(t.keywords))
	sets := make([]flagSet, len(t.sets))
	freed := 0
	for i := range t.sets {
		if sets[i] = t.sets[i]; used[i] {
			for _, k := range sets[i].keywords {
				words[k] = true
			}
		} else if !sets[i].free {
			t.rendered -= len(sets[i].text)
			sets[i] = flagSet{free: true}
			t.freeSets++
			freed++
			tx.remove(flagSetKey(FlagSet(i)))
		}
	}
	keywords := append(t.keywords[:0:0], t.keywords...)
	for i, k := range keywords {
		if k != "" && !words[i] {
			keywords[i] = ""
			t.freeKeywords++
			freed++
			tx.remove(keywordKey(i))
		}
	}
	if freed == 0 {
		return false
	}
	t.sets, t.keywords = sets, keywords
	tx.sets, tx.words = len(sets), len(keywords)
	t.reusedSets, t.reusedKeywords = nil, nil
	for i := range sets { // those of this transaction are not written yet
		if i > 0 && used[i] {
			t.reusedSets = append(t.reusedSets, FlagSet(i))
		}
	}
	for i := range words {
		if words[i] {
			t.reusedKeywords = append(t.reusedKeywords, uint16(i))
		}
	}
	tx.st.flags = t
	tx.st.hdr.swept = tx.modseq
	tx.st.tail.actions = max(tx.st.tail.actions, a.store.maxTail.actions)
	return true
}

// usedSets returns which flag sets messages have, or had that can be put back.
func (tx *Tx) usedSets() ([]bool, error) {
	used := make([]bool, len(tx.st.flags.sets))
	used[0] = true
	use := func(n FlagSet) {
		if int(n) < len(used) {
			used[n] = true
		}
	}
	for _, b := range tx.st.boxes {
		c, err := b.lazy.load()
		if err != nil {
			return nil, err
		}
		for i := range c.dir {
			for _, n := range c.dir[i].c.mark.flags {
				use(n)
			}
		}
	}
	for _, d := range tx.dead {
		for _, n := range d.flags {
			use(n)
		}
	}
	tx.settle()
	var failed error
	err := tx.reader().Scan([]byte{keyDead}, []byte{keyDead + 1}, func(_, v []byte) bool {
		failed = decodeDead(v, func(d *deads) {
			for _, n := range d.flags {
				use(n)
			}
		})
		return failed == nil
	})
	return used, errors.Join(failed, err)
}
