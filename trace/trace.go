// Package trace remembers what became of each message, so that "where is my mail?"
// has an answer: one compact record for each SMTP transaction that named a recipient,
// also those that were refused, and for each attempt, report and change of the queue.
//
// [Log.Record] costs its caller some copying and never waits: records are gathered
// and committed together, several times a second. A crash takes at most those of the
// last moment; nothing that mail depends on stands here. [Log.Find] gathers the
// records of a message by sender, recipient, Message-ID, trace id, queue id or time, and
// [Story.Tell] says them in plain words.
//
// # Keys
//
// All in account 0 of the engine, DAY the days since 1970 in 4 bytes, HASH 8 bytes of
// SHA-256 over the value in lower case, big-endian:
//
//	t DAY e ID 00 SEQ        a record; ID is the trace id, SEQ 8 bytes, ascending
//	t DAY i KIND HASH ID     the message ID has this value of KIND (one of "frmq")
//
// A day is forgotten by one deletion when it is older than Keep. Memory and disk are
// bounded: what comes faster than it can be written, or over BytesPerDay, is counted
// and left out.
//
// Log.mu guards what waits to be written, and nests in nothing.
package trace

import (
	"time"

	"posthouse/mail"
)

// A Kind says what an Event tells.
type Kind uint8

// The kinds. Their numbers are stored: add at the end.
const (
	Unknown     Kind = iota
	Received         // a transaction ended with mail taken for some recipients
	Refused          // a transaction ended, or never began, with nothing taken
	Abandoned        // the other side went away before the end
	Attempt          // another server was asked, and To says what it answered
	Unreachable      // no server of the destination could be asked
	Reported         // the sender was told (DSN): Notes has which, delayed, failed …
	Operated         // an operator did it: Notes has what, as "held"
	Forgotten        // a message without anybody to tell was dropped
	Held             // kept back: Notes has why
	Released         // goes on after Held
	Scheduled        // waits for its time, Notes has until when
	Filtered         // a rule of the recipient did something
	Sent             // a message of our own: a report, a reply
	GivenUp          // it waited for too long; To says for whom
	Waiting          // some recipients wait; Notes has until when
)

// A Became says what happened for one recipient.
type Became uint8

// The fates. Their numbers are stored: add at the end.
const (
	Nothing   Became = iota
	Delivered        // into an account here; Detail is the mailbox
	Queued           // for another server; Detail is where to
	Forwarded        // an address here leads elsewhere; Detail is where to
	Turned           // refused for good; Detail is the reply
	Deferred         // refused for now; Detail is the reply
	Dropped          // accepted and discarded; Detail is why
	Relayed          // the other server has it; Detail is its reply
	Expired          // given up; Detail is the last reply
	Ruled            // a rule acted; Detail is what it did
)

// An Event is one record. Only ID is required; empty fields are not stored.
type Event struct {
	At        time.Time // zero: now
	Kind      Kind
	ID        string // the trace id of the message (mail.Envelope.TraceID)
	Queue     string // its id in the queue
	Parent    string // trace id of the message that this one is about
	From      string // reverse-path; "" is null
	MessageID string // of its header, without angle brackets
	Account   string // who logged in
	Remote    string // the other side: an address, or host and address
	Hello     string // as it called itself
	By        string // the door: mx, submission, lmtp …
	Size      int64
	Reply     mail.Reply
	To        []Fate
	Notes     []string // short facts, as "spf=pass" or "held"
}

// A Fate is what the Event means for one recipient.
type Fate struct {
	Address string
	Became  Became
	Detail  string
}

// A Recorder takes records; [Log] does. Nil-safe callers use [Discard].
type Recorder interface {
	// Record remembers e. It never waits and never fails; e and its slices may be
	// used again.
	Record(e *Event)
}

// Discard is a Recorder that forgets.
type Discard struct{}

// Record does nothing.
func (Discard) Record(*Event) {}

// Bounds of one record.
const (
	maxText  = 500  // octets of a string
	maxFates = 1000 // recipients
	maxNotes = 40
	maxIndex = 100 // recipients by which a message is found
)

// String is the name of a kind, as programs are told: "received".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Unknown]
}

var kindNames = [...]string{"unknown", "received", "refused", "abandoned", "attempt", "unreachable", "reported", "operated", "forgotten", "held", "released",
	"scheduled", "filtered", "sent", "givenUp", "waiting"}

// String is the name of a fate, as programs are told: "delivered".
func (b Became) String() string {
	if int(b) < len(fateNames) {
		return fateNames[b]
	}
	return fateNames[Nothing]
}

var fateNames = [...]string{"nothing", "delivered", "queued", "forwarded", "turned", "deferred", "dropped", "relayed", "expired", "ruled"}
