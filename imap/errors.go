package imap

import (
	"errors"
	"strings"

	"posthouse/imap/wire"
	"posthouse/mail"
)

// A respError is the outcome of a command that is not OK, as the client sees it.
type respError struct {
	cond string // NO or BAD
	code string // response code without its brackets, or ""
	text string
}

func (e *respError) Error() string { return e.cond + " [" + e.code + "] " + e.text }

func bad(text string) error      { return &respError{"BAD", "", text} }
func no(code, text string) error { return &respError{"NO", code, text} }

// kindCodes is the one table from failures below to response codes of RFC 9051
// §7.1.
var kindCodes = [...]string{
	mail.Internal:    "SERVERBUG",
	mail.NotFound:    "NONEXISTENT",
	mail.Exists:      "ALREADYEXISTS",
	mail.Denied:      "NOPERM",
	mail.OverQuota:   "OVERQUOTA",
	mail.TooLarge:    "LIMIT",
	mail.Conflict:    "INUSE",
	mail.Unavailable: "UNAVAILABLE",
	mail.Invalid:     "CANNOT",
	mail.Corrupt:     "CORRUPTION",
}

// errBye ends the connection after the BYE that the command itself wrote.
var errBye = errors.New("imap: end of session")

// outcome turns an error into what the client is told, or returns false for one
// that ends the connection.
func outcome(err error) (*respError, bool) {
	var r *respError
	if errors.As(err, &r) {
		return r, true
	}
	var syn *wire.SyntaxError
	if errors.As(err, &syn) {
		if syn.TooBig {
			return &respError{"BAD", "TOOBIG", syn.Text}, true
		}
		return &respError{"BAD", "", syn.Text}, true
	}
	if errors.Is(err, wire.ErrLineTooLong) {
		return &respError{"BAD", "TOOBIG", "the line is too long"}, true
	}
	var e *mail.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	code := kindCodes[mail.Internal]
	if int(e.Kind) < len(kindCodes) {
		code = kindCodes[e.Kind]
	}
	return &respError{"NO", code, oneLine(mail.TextOf(err))}, true
}

// oneLine makes s fit for resp-text: printable ASCII on one line.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r >= 0x7f:
			return '?'
		}
		return r
	}, s)
	if s = strings.TrimLeft(s, "[ "); s == "" {
		return "failed"
	}
	return s
}

// orTryCreate makes of a missing destination the hint to create it, RFC 9051
// §6.3.12.
func orTryCreate(err error) error {
	if mail.KindOf(err) == mail.NotFound {
		return no("TRYCREATE", "no such mailbox")
	}
	return err
}
