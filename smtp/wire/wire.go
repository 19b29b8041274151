// Package wire is the grammar of SMTP, ESMTP and LMTP for both sides: lines,
// commands, paths, parameters, replies and the encoding of message data. It does
// no I/O except through the bufio.Reader or io.Writer it is handed, sets no
// deadlines and decides no policy: what is refused is up to the server, what is
// sent up to the client.
//
// Guarantees:
//
//   - Every decoder is bounded by its Limits or its arguments and by nothing that
//     the peer says. Malformed input is an error, never a panic.
//   - What a parser accepts, the matching Append function prints so that it parses
//     to the same value again.
//   - The end of message data is CRLF "." CRLF and nothing else (RFC 5321
//     §4.1.1.4); bare CR, bare LF and NUL inside are reported, not repaired.
//   - Nothing that this package prints holds a bare CR, a bare LF or a NUL.
//
// Domains have one normal form in Posthouse, that of [mail.Domain]: ParseDomain
// makes it and DomainToASCII turns it into what DNS and old servers understand.
// This package is the one owner of IDNA.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Errors of ReadLine.
var (
	// ErrLineTooLong: the line was consumed up to and including its LF.
	ErrLineTooLong = errors.New("smtp: line too long")
	// ErrBareLF: the line ended in LF without CR; it is returned all the same.
	ErrBareLF = errors.New("smtp: line ends in a bare LF")
	// ErrLineEndless: far more than the limit came without an LF. The connection
	// cannot be brought into step again cheaply: close it.
	ErrLineEndless = errors.New("smtp: endless line")
)

// endless is how many times its limit an over-long line may have before ReadLine
// stops looking for its end.
const endless = 512

// ReadLine reads one line of at most limit octets without its CRLF (RFC 5321
// §2.3.8). The slice is valid until the next read from r. A longer line is skipped
// to its end and reported as ErrLineTooLong.
func ReadLine(r *bufio.Reader, limit int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == nil && len(line) <= limit+2 {
		return cutCRLF(line, limit)
	}
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if err == nil {
		return nil, ErrLineTooLong
	}
	if r.Size() < limit+2 {
		line = append([]byte(nil), line...)
	}
	return skipLine(r, line, limit)
}

// skipLine goes on after the reader's buffer was filled without an LF: the line
// may still be within limit if the buffer is small.
func skipLine(r *bufio.Reader, head []byte, limit int) ([]byte, error) {
	total := len(head)
	for {
		part, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		total += len(part)
		if total <= limit+2 {
			head = append(head, part...)
		}
		if err == nil {
			if total <= limit+2 {
				return cutCRLF(head, limit)
			}
			return nil, ErrLineTooLong
		}
		if total > limit*endless {
			return nil, ErrLineEndless
		}
	}
}

func cutCRLF(line []byte, limit int) ([]byte, error) {
	var bare error
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	} else {
		bare = ErrBareLF
	}
	if len(line) > limit {
		return nil, ErrLineTooLong
	}
	return line, bare
}

// A Command is one command line, RFC 5321 §4.1.1: the verb in upper case and all
// that follows it, without the space between and without trailing white space.
type Command struct {
	Verb string
	Arg  string
}

// verbs are the known ones, so that parsing them allocates nothing.
var verbs = [...]string{"EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET",
	"NOOP", "QUIT", "AUTH", "STARTTLS", "VRFY", "EXPN", "HELP", "XCLIENT", "ETRN"}

// maxVerb bounds a verb that is not known.
const maxVerb = 32

// ParseCommand parses a line without its CRLF. The verb is letters, digits and
// "-"; anything else fails.
func ParseCommand(line []byte) (Command, error) {
	line = bytes.TrimRight(line, " \t")
	n := 0
	for n < len(line) && isLDH(line[n]) {
		n++
	}
	if n == 0 || n > maxVerb || n < len(line) && line[n] != ' ' && line[n] != '\t' {
		return Command{}, errSyntax("command not recognised")
	}
	c := Command{Verb: verbOf(line[:n])}
	if rest := bytes.TrimLeft(line[n:], " \t"); len(rest) > 0 {
		c.Arg = string(rest)
	}
	return c, nil
}

func verbOf(b []byte) string {
	for _, v := range verbs {
		if len(v) == len(b) && equalFoldASCII(v, b) {
			return v
		}
	}
	return string(bytes.ToUpper(b))
}

// equalFoldASCII compares a word in upper case with b, without regard to the case
// of b.
func equalFoldASCII(upper string, b []byte) bool {
	for i := range len(upper) {
		c := b[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// A SyntaxError says what is wrong with a command, in words that may be sent to
// the client after "501 5.5.4" or the like.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return "smtp: " + e.Text }

func errSyntax(text string) error { return &SyntaxError{text} }

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isLDH(c byte) bool { return isAlnum(c) || c == '-' }
