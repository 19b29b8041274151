package store

import (
	"iter"
	"slices"
	"strings"

	"posthouse/mail"
)

// A FlagSet is an interned set of flags of one account; 0 is the empty set. A number
// keeps its meaning within a Snapshot, and for as long as a message has it. Equal sets have equal numbers, but on mailboxes of others,
// where \Seen is one's own.
type FlagSet uint32

// System flag bits, see [Snapshot.System].
const (
	SeenBit uint8 = 1 << iota
	AnsweredBit
	FlaggedBit
	DeletedBit
	DraftBit
)

// A Row is what a mailbox knows of one message.
type Row struct {
	UID          UID
	Flags        FlagSet
	Size         uint32
	InternalDate int64 // Unix seconds
	SaveDate     int64 // Unix seconds: when it entered this mailbox (RFC 8514 §3)
	ModSeq       ModSeq
	Email        EmailID
}

// A Snapshot is the messages of one mailbox at one moment, by ascending UID:
// immutable, columnar (32 bytes a message), shared by all sessions.
type Snapshot struct {
	mb      *Mailbox
	content *content
	flags   flagTable
}

// Mailbox is the record of the mailbox at the same moment.
func (s *Snapshot) Mailbox() *Mailbox { return s.mb }

// Len is the number of messages.
func (s *Snapshot) Len() int { return s.content.n }

// Row returns message i, 0 <= i < Len.
func (s *Snapshot) Row(i int) Row {
	c, j := s.content.locate(i)
	return c.row(j)
}

// UID returns the UID of message i.
func (s *Snapshot) UID(i int) UID {
	c, j := s.content.locate(i)
	return c.cols.uid[j]
}

// Search returns the position of the first message with a UID >= uid (Len if
// there is none) and whether it is exactly that one.
func (s *Snapshot) Search(uid UID) (i int, found bool) { return s.content.search(uid) }

// SearchNear is [Snapshot.Search] for who has a good guess where the message is.
func (s *Snapshot) SearchNear(uid UID, guess int) (i int, found bool) {
	if guess >= 0 && guess < s.content.n && s.UID(guess) == uid {
		return guess, true
	}
	return s.content.search(uid)
}

// Rows yields the messages lo <= i < hi in order.
func (s *Snapshot) Rows(lo, hi int) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		for i := lo; i < hi; {
			k, j := s.content.locate(i)
			for end := min(len(k.cols.uid), j+hi-i); j < end; j++ {
				if !yield(i, k.row(j)) {
					return
				}
				i++
			}
		}
	}
}

// ChangedAfter yields those of the messages lo <= i < hi whose ModSeq is higher than
// since. What did not change costs a comparison.
func (s *Snapshot) ChangedAfter(since ModSeq, lo, hi int) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		for i := lo; i < hi; {
			k, j := s.content.locate(i)
			end := min(len(k.cols.uid), j+hi-i)
			for n := j; n < end; n++ {
				if k.mark.modseq.at(n) > since && !yield(i+n-j, k.row(n)) {
					return
				}
			}
			i += end - j
		}
	}
}

// FirstWithout returns the position of the first message that lacks a system flag, see
// [Snapshot.System]; Len if all have it.
func (s *Snapshot) FirstWithout(bit uint8) int {
	var last FlagSet
	has := s.flags.system(last)&bit != 0
	for _, e := range s.content.dir {
		for j, fs := range e.c.mark.flags[:len(e.c.cols.uid)] {
			if fs != last {
				last, has = fs, s.flags.system(fs)&bit != 0
			}
			if !has {
				return e.start + j
			}
		}
	}
	return s.content.n
}

// RowsOf returns the messages whose UIDs are in set, in order.
func (s *Snapshot) RowsOf(set UIDSet) []Row { return s.content.rows(set) }

// UIDs returns the UIDs of the messages lo <= i < hi as a set.
func (s *Snapshot) UIDs(lo, hi int) UIDSet {
	var set UIDSet
	for i := lo; i < hi; {
		k, j := s.content.locate(i)
		end := min(len(k.cols.uid), j+hi-i)
		for _, u := range k.cols.uid[j:end] {
			set.push(u)
		}
		i += end - j
	}
	return set
}

// FlagText is the flags of fs separated by single spaces, system flags first.
// The string is shared by all calls.
func (s *Snapshot) FlagText(fs FlagSet) string { return s.flags.text(fs) }

// System returns the system flags of fs as bits.
func (s *Snapshot) System(fs FlagSet) uint8 { return s.flags.system(fs) }

// Has reports whether fs holds f, compared without case. To look for one flag in
// many messages ask once per FlagSet.
func (s *Snapshot) Has(fs FlagSet, f mail.Flag) bool {
	set := s.flags.at(fs)
	if bit := systemBit(f); bit != 0 {
		return set.system&bit != 0
	}
	return slices.ContainsFunc(set.keywords, func(k uint16) bool {
		return strings.EqualFold(string(s.flags.keywords[k]), string(f))
	})
}

// Flags returns the flags of fs, system flags first.
func (s *Snapshot) Flags(fs FlagSet) []mail.Flag {
	var all []mail.Flag
	set := s.flags.at(fs)
	for i, f := range systemFlags {
		if set.system&(1<<i) != 0 {
			all = append(all, f)
		}
	}
	for _, k := range set.keywords {
		all = append(all, s.flags.keywords[k])
	}
	return all
}

// Keywords returns every keyword of the account, for FLAGS and PERMANENTFLAGS.
func (s *Snapshot) Keywords() []mail.Flag { return s.flags.words() }
