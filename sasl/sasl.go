// Package sasl holds the mechanisms of RFC 4422, the server's and the client's
// side, as state machines over decoded bytes. It does no I/O and knows no
// protocol: the front end owns the lines, the base64 around them (see [Decode])
// and the decision whether the connection is private enough for a mechanism that
// shows the password ([Mechanism.Plaintext]).
//
// Guarantees:
//
//   - What a client sends is bounded by [MaxResponse] and checked before anyone
//     looks at it: UTF-8, no NUL, no empty name or password.
//   - The [Verifier] is called at most once in an exchange, and success is said only
//     after it returned nil.
//   - No error holds a name or a password.
package sasl

import (
	"context"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"posthouse/mail"
)

// MaxResponse is the most octets of one decoded response: RFC 4616 §2 allows 255
// octets for each of its three fields, and tokens of later mechanisms are longer.
const MaxResponse = 8 << 10

// maxField bounds one name or password, in octets.
const maxField = 1 << 10

// ErrCancelled says that the client gave up with "*", RFC 4954 §4 and RFC 9051
// §6.2.2.
var ErrCancelled = errors.New("sasl: cancelled by the client")

// Credentials are what a client says of itself.
type Credentials struct {
	// Login is the authentication identity: whose password it is.
	Login    string
	Password string
}

// A Verifier checks credentials. It fails with mail.Denied if they are wrong and
// with another kind if they could not be checked.
type Verifier func(ctx context.Context, c Credentials) error

// A Server is the server's side of one exchange.
type Server interface {
	// Next takes the client's response and returns the next challenge to send. The
	// first call takes the initial response, or nil if the client sent none. Once
	// done is true the client is authenticated; a challenge is then data that goes
	// with the success. After an error the exchange is over.
	Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error)
}

// A Client is the client's side of one exchange.
type Client interface {
	// Start returns the initial response, nil if the mechanism has none.
	Start() ([]byte, error)
	// Next answers a challenge.
	Next(challenge []byte) ([]byte, error)
}

// A Mechanism is one row of the table.
type Mechanism struct {
	Name string // as in AUTH and AUTHENTICATE
	// Plaintext: who reads along learns the password. Only over TLS.
	Plaintext bool

	server func(Verifier) Server
	client func(Credentials) Client
}

// Mechanisms returns all mechanisms, best first.
func Mechanisms() []Mechanism {
	return []Mechanism{mechPlain, mechLogin}
}

// Lookup finds a mechanism by its name, in any case.
func Lookup(name string) (Mechanism, bool) {
	for _, m := range Mechanisms() {
		if equalFold(m.Name, name) {
			return m, true
		}
	}
	return Mechanism{}, false
}

// Server starts the server's side.
func (m Mechanism) Server(v Verifier) Server { return m.server(v) }

// Client starts the client's side.
func (m Mechanism) Client(c Credentials) Client { return m.client(c) }

// Decode decodes a response line: base64, "=" for an empty initial response (RFC
// 4954 §4), "*" for ErrCancelled. The result is not nil.
func Decode(line []byte) ([]byte, error) {
	if len(line) == 1 && line[0] == '*' {
		return nil, ErrCancelled
	}
	if len(line) == 1 && line[0] == '=' {
		return []byte{}, nil
	}
	if base64.StdEncoding.DecodedLen(len(line)) > MaxResponse+2 {
		return nil, invalid("response too long")
	}
	// The decoder skips CR and LF, which have no place here.
	for _, c := range line {
		if c == '\r' || c == '\n' {
			return nil, invalid("not base64")
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(out, line)
	if err != nil {
		return nil, invalid("not base64")
	}
	return out[:n], nil
}

// AppendEncoded appends the base64 of a challenge or response.
func AppendEncoded(dst, b []byte) []byte { return base64.StdEncoding.AppendEncode(dst, b) }

// checkField refuses what no name or password may be.
func checkField(what string, b []byte) error {
	switch {
	case len(b) == 0:
		return invalid("empty " + what)
	case len(b) > maxField:
		return invalid(what + " too long")
	case !utf8.Valid(b):
		return invalid(what + " is not UTF-8")
	}
	for _, c := range b {
		if c == 0 {
			return invalid("NUL in " + what)
		}
	}
	return nil
}

func invalid(text string) error {
	return &mail.Error{Kind: mail.Invalid, Op: "sasl", Text: text}
}

func equalFold(upper, s string) bool {
	if len(upper) != len(s) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}
