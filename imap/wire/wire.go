// Package wire is the grammar of IMAP, RFC 9051 §9 and RFC 3501 §9: a bounded
// reader of lines and literals, a decoder that reads like the ABNF, and
// append-style encoders.
//
// Guarantees: memory is bounded by the [Limits] whatever a peer sends; the
// decoder never recurses without counting; it never panics; the encoders write
// nothing that is outside of the grammar.
//
// The package knows no command and no mailbox; package imap owns those.
package wire

import "errors"

// Limits bound what a peer may send for one command.
type Limits struct {
	Line     int   // bytes of one line
	Flood    int   // bytes of an over-long line that are skipped before the connection ends
	Literal  int64 // bytes of one literal that is kept in memory
	Literals int64 // bytes of all literals of a command that are kept in memory
	Depth    int   // nested parentheses
}

// Errors of a Reader that a session can go on after are LineTooLong and those of
// type SyntaxError; all others end it.
var (
	// ErrLineTooLong says that a line was over its limit; it has been skipped.
	ErrLineTooLong = errors.New("imap/wire: line too long")
	// ErrTooLargeToSkip says that a refused literal is too large to be read and
	// dropped.
	ErrTooLargeToSkip = errors.New("imap/wire: refused literal too large to skip")
	// ErrFlood says that an over-long line did not end in time.
	ErrFlood = errors.New("imap/wire: line far too long")
)

// A SyntaxError says how a command breaks the grammar. Text may be shown to the
// client.
type SyntaxError struct {
	Text string
	// TooBig is set where a literal was refused for its size: RFC 7888 §4 and
	// RFC 9051 §4.3 ask for the response code TOOBIG.
	TooBig bool
}

func (e *SyntaxError) Error() string { return "imap/wire: " + e.Text }
