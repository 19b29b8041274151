package mail

import (
	"errors"
	"fmt"
)

// A Kind says what sort of failure an Error is. The list is closed: each front
// end has one table from Kind to its own codes.
type Kind uint8

// The kinds of failure. Internal is the zero value, so that an Error that
// nobody classified is never blamed on the client.
const (
	Internal    Kind = iota // a bug or an unforeseen failure below
	NotFound                // what was named does not exist
	Exists                  // what was to be made exists
	Denied                  // the caller may not do this
	OverQuota               // the account or domain is full
	TooLarge                // over a configured limit
	Conflict                // changed meanwhile by another: try again
	Unavailable             // not now: full disk, failed device, shutting down
	Invalid                 // the request makes no sense
	Corrupt                 // stored bytes failed their checksum or do not parse
)

var kindNames = [...]string{"internal error", "not found", "exists", "denied", "over quota",
	"too large", "conflict", "unavailable", "invalid", "corrupt"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// An Error is how packages below the front ends fail.
type Error struct {
	Kind Kind
	Op   string // what was being done, as "store.Append"
	Text string // safe to show to a client; says what to do where that helps
	Err  error  // the cause, for the log only
}

func (e *Error) Error() string {
	s := e.Op + ": " + e.Kind.String()
	if e.Text != "" {
		s += ": " + e.Text
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the Kind of the first Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// TextOf returns the text that may be shown to a client for err: the Text of
// the first Error in its chain, or the name of its Kind.
func TextOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Text != "" {
		return e.Text
	}
	return KindOf(err).String()
}
