package store

import (
	"iter"

	"posthouse/mail"
)

// A FlagSet is an interned set of flags of one account; 0 is the empty set. Equal
// sets have equal numbers, and a number never changes its meaning.
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
type Snapshot struct{}

// Mailbox is the record of the mailbox at the same moment.
func (s *Snapshot) Mailbox() *Mailbox { return nil }

// Len is the number of messages.
func (s *Snapshot) Len() int { return 0 }

// Row returns message i, 0 <= i < Len.
func (s *Snapshot) Row(i int) Row { return Row{} }

// UID returns the UID of message i.
func (s *Snapshot) UID(i int) UID { return 0 }

// Search returns the position of the first message with a UID >= uid (Len if
// there is none) and whether it is exactly that one.
func (s *Snapshot) Search(uid UID) (i int, found bool) { return 0, false }

// Rows yields the messages lo <= i < hi in order.
func (s *Snapshot) Rows(lo, hi int) iter.Seq2[int, Row] { return nil }

// FlagText is the flags of fs separated by single spaces, system flags first.
// The string is shared by all calls.
func (s *Snapshot) FlagText(fs FlagSet) string { return "" }

// System returns the system flags of fs as bits.
func (s *Snapshot) System(fs FlagSet) uint8 { return 0 }

// Has reports whether fs holds f, compared without case.
func (s *Snapshot) Has(fs FlagSet, f mail.Flag) bool { return false }

// Keywords returns every keyword of the account, for FLAGS and PERMANENTFLAGS.
func (s *Snapshot) Keywords() []mail.Flag { return nil }

// A Difference is what changed between two snapshots of one mailbox.
type Difference struct {
	Expunged UIDSet // in old, not in new
	Changed  UIDSet // in both, flags or ModSeq differ
	Added    UIDSet // in new, not in old
}

// Diff returns what leads from old to new. Its cost is that of what changed.
func Diff(old, new *Snapshot) Difference { return Difference{} }
