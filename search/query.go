// Package search finds messages: one query language for IMAP SEARCH, JMAP
// filters, the web client and the command line, and its evaluation over a
// mailbox.
//
// A front end builds a [Key] from its own syntax and calls [Run]. Keys are
// answered from the cheapest source that decides them: the mailbox row, the
// message's record, its header, its text; a message's bytes are read only where
// nothing cheaper has decided. Text compares as RFC 5051 (i;unicode-casemap):
// exact substrings of the decoded text, without regard to case.
//
// The package keeps no state. Sequence numbers and \Recent belong to a session:
// its front end spells them as [UIDs].
package search

import (
	"time"

	"posthouse/mail"
	"posthouse/store"
)

// A Key is one condition on a message. The types of this package are all Keys.
type Key interface {
	cost() cost
	eval(c *candidate) (answer, error)
}

// cost is the cheapest source that decides a key.
type cost uint8

const (
	byRow    cost = iota // flags, dates, sizes of the mailbox snapshot
	byRecord             // the message's record
	byHeader             // its header's bytes
	byText               // all its bytes
)

type answer uint8

const (
	no answer = iota
	yes
	unknown // not decided by what the candidate has loaded
)

func decided(b bool) answer {
	if b {
		return yes
	}
	return no
}

// Logic. And without children matches everything, Or without any nothing.
type (
	// All matches every message.
	All struct{}
	// And matches what all of its keys match.
	And []Key
	// Or matches what any of its keys matches.
	Or []Key
	// Not matches what its key does not.
	Not struct{ Key Key }
)

// Keys on the mailbox row.
type (
	// UIDs matches the messages of a set.
	UIDs store.UIDSet
	// Flag matches messages that have the flag or keyword.
	Flag mail.Flag
	// Larger and Smaller compare RFC822.SIZE in bytes, both exclusive (RFC 9051
	// §6.4.4).
	Larger  int64
	Smaller int64
	// ModSeq matches messages whose ModSeq is at least this (RFC 7162 §3.1.5).
	ModSeq store.ModSeq
	// Received compares the internal date, Saved the save date.
	Received Span
	Saved    Span
	// Last matches the last message of the mailbox: "*".
	Last struct{}
	// EmailID matches one immutable message (RFC 8474 §6).
	EmailID store.EmailID
	// Rows matches the messages for which it is true: what a front end knows of them.
	Rows func(r store.Row) bool
)

// Keys on the message's record.
type (
	// Sent compares the day of the Date header, in that header's own time zone
	// (RFC 9051 §6.4.4: SENTBEFORE disregards time and time zone).
	Sent Span
	// ThreadID matches the messages of one conversation (RFC 8474 §6).
	ThreadID store.ThreadID
	// HasAttachment matches messages with an attached file.
	HasAttachment struct{}
)

// Keys on the message's bytes.
type (
	// Header matches messages with a field of this name whose decoded value holds
	// Text; with an empty Text, any such field (RFC 9051 §6.4.4).
	Header struct{ Name, Text string }
	// Body matches messages whose decoded text parts hold the string.
	Body string
	// Text matches messages whose header or decoded text parts hold the string.
	Text string
)

// A Span is the time from From (inclusive) to To (exclusive); a zero time leaves
// that side open.
type Span struct{ From, To time.Time }

func (s Span) holdsUnix(t int64) bool {
	return (s.From.IsZero() || t >= s.From.Unix()) && (s.To.IsZero() || t < s.To.Unix())
}

// holdsDay compares the calendar day of t, in t's own zone, with From and To as
// days in theirs.
func (s Span) holdsDay(t time.Time) bool {
	d := day(t)
	return (s.From.IsZero() || d >= day(s.From)) && (s.To.IsZero() || d < day(s.To))
}

func day(t time.Time) int {
	y, m, d := t.Date()
	return y*10_000 + int(m)*100 + d
}
