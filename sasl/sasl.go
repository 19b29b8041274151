// Package sasl holds the mechanisms of RFC 4422, the server's and the client's
// side, as state machines over decoded bytes. It does no I/O and knows no
// protocol: the front end owns the lines and the base64 around them (see
// [Decode]); an [Authority] knows who may log in; a [Channel] is the connection
// underneath, to which proofs are bound.
//
// Guarantees:
//
//   - What a client sends is bounded by [MaxResponse] and checked before anyone
//     looks at it: UTF-8, no NUL, no empty name or password.
//   - Success is said only after the Authority has agreed, and it is asked for one
//     decision in an exchange.
//   - A proof (SCRAM) is worth nothing on another connection where it is bound to
//     its channel, and a client that could bind and was talked out of it is refused.
//   - No error holds a name, a password or a token.
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
	// As is the authorization identity: whose account is to be used; "" is the one
	// of Login.
	As string
}

// An Authority decides who may log in: one value for one exchange. Its methods
// fail with mail.Denied if the client is not who it says, and with another kind if
// that could not be found out. Each takes the authorization identity as, "" if
// the client names none.
type Authority interface {
	// Password checks a password.
	Password(ctx context.Context, c Credentials) error
	// Secret returns what proofs of login's password are checked against. A login
	// that does not exist has one too, always the same; Proved denies it.
	Secret(ctx context.Context, h Hash, login, as string) (Secret, error)
	// Proved ends what Secret began: whether the proof was right.
	Proved(ctx context.Context, right bool) error
	// Certificate checks the client's certificate of the connection.
	Certificate(ctx context.Context, as string) error
	// Token checks an OAuth 2.0 access token.
	Token(ctx context.Context, token, as string) error
	// Issuer is the URL of who gives tokens out, "" if none does.
	Issuer() string
}

// Methods are the ways to log in that an Authority knows.
type Methods uint8

const (
	ByPassword    Methods = 1 << iota
	ByProof               // secrets are kept for SCRAM
	ByCertificate         // of the client's TLS
	ByToken               // of OAuth 2.0
)

// A Server is the server's side of one exchange.
type Server interface {
	// Next takes the client's response and returns the next challenge to send. The
	// first call takes the initial response, or nil if the client sent none. Once
	// done is true the client is authenticated. After an error the exchange is over.
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
	// Plaintext: who reads along learns the password, or what is as good.
	Plaintext bool

	method Methods
	bound  bool // needs a channel that can be bound to
	server func(a Authority, ch Channel) Server
	client func(c Credentials, ch Channel) Client // nil: we are never that client
}

// Mechanisms returns all mechanisms, in the order in which clients should try them.
func Mechanisms() []Mechanism {
	return []Mechanism{
		mechScram256Plus, mechScram1Plus, mechScram256, mechScram1,
		mechPlain, mechLogin, mechExternal, mechOAuthBearer, mechXOAuth2,
	}
}

// Clients returns the mechanisms that we log in to other servers with, best first:
// over TLS that was verified, what works everywhere.
func Clients() []Mechanism {
	return []Mechanism{mechPlain, mechLogin, mechScram256, mechScram1}
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

// Possible reports whether the mechanism can work with these methods on this
// connection: what is not possible is neither announced nor begun.
func (m Mechanism) Possible(known Methods, ch Channel) bool {
	switch {
	case known&m.method == 0:
		return false
	case m.bound:
		return ch.bindable()
	case m.method == ByCertificate:
		return ch.TLS != nil && len(ch.TLS.PeerCertificates) > 0
	}
	return true
}

// Server starts the server's side.
func (m Mechanism) Server(a Authority, ch Channel) Server { return m.server(a, ch) }

// Client starts the client's side, of one of [Clients].
func (m Mechanism) Client(c Credentials) Client { return m.client(c, Channel{}) }

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

var errOver = errors.New("sasl: the exchange is over")

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

// checkIdentity is checkField for an authorization identity, which may be empty.
func checkIdentity(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return checkField("authorization identity", b)
}

func invalid(text string) error {
	return &mail.Error{Kind: mail.Invalid, Op: "sasl", Text: text}
}

func denied(text string) error {
	return &mail.Error{Kind: mail.Denied, Op: "sasl", Text: text}
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
