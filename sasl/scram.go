package sasl

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
)

var (
	mechScram256Plus = scramRow("SCRAM-SHA-256-PLUS", SHA256, true)
	mechScram1Plus   = scramRow("SCRAM-SHA-1-PLUS", SHA1, true)
	mechScram256     = scramRow("SCRAM-SHA-256", SHA256, false)
	mechScram1       = scramRow("SCRAM-SHA-1", SHA1, false)
)

// scramRow is SCRAM (RFC 5802 and, with SHA-256, RFC 7677).
func scramRow(name string, h Hash, plus bool) Mechanism {
	return Mechanism{Name: name, method: ByProof, bound: plus,
		server: func(a Authority, ch Channel) Server { return &scramServer{auth: a, channel: ch, hash: h, plus: plus} },
		client: func(c Credentials, ch Channel) Client { return &scramClient{c: c, channel: ch, hash: h, plus: plus} },
	}
}

// A Hash is the hash function of a SCRAM mechanism.
type Hash uint8

// The hash functions that mechanisms exist for.
const (
	SHA1 Hash = 1 + iota
	SHA256
)

func (h Hash) new() hash.Hash {
	if h == SHA1 {
		return sha1.New()
	}
	return sha256.New()
}

func (h Hash) String() string {
	if h == SHA1 {
		return "SHA-1"
	}
	return "SHA-256"
}

// Size is the number of octets of a hash.
func (h Hash) Size() int {
	if h == SHA1 {
		return sha1.Size
	}
	return sha256.Size
}

func (h Hash) mac(key, msg []byte) []byte {
	m := hmac.New(h.new, key)
	m.Write(msg)
	return m.Sum(nil)
}

func (h Hash) sum(b []byte) []byte {
	s := h.new()
	s.Write(b)
	return s.Sum(nil)
}

// A Secret is what a server keeps of a password for one Hash, RFC 5802 §3. It
// lets nobody log in, but who has it can try passwords at the price of Iterations, and
// who also saw a login can pretend to be the client.
type Secret struct {
	Salt                 []byte
	Iterations           int
	StoredKey, ServerKey []byte
}

// The bounds of Iterations: RFC 7677 §4 asks for the least; more than the most only
// makes clients wait.
const (
	MinIterations = 4096
	MaxIterations = 10_000_000
)

// NewSecret derives the secret of a password, which it prepares first.
func NewSecret(h Hash, password string, salt []byte, iterations int) (Secret, error) {
	if iterations < MinIterations || iterations > MaxIterations {
		return Secret{}, fmt.Errorf("sasl: %d iterations: from %d to %d", iterations, MinIterations, MaxIterations)
	}
	client, server, err := scramKeys(h, password, salt, iterations)
	return Secret{Salt: salt, Iterations: iterations, StoredKey: h.sum(client), ServerKey: server}, err
}

func scramKeys(h Hash, password string, salt []byte, iterations int) (client, server []byte, err error) {
	salted, err := pbkdf2.Key(h.new, Prepare(password), salt, iterations, h.Size())
	if err != nil {
		return nil, nil, err
	}
	return h.mac(salted, []byte("Client Key")), h.mac(salted, []byte("Server Key")), nil
}

type scramStep uint8

const (
	scramStart scramStep = iota
	scramFirst
	scramFinal
	scramProved
	scramOver
)

// scramServer is the server of SCRAM, RFC 5802 §5.
type scramServer struct {
	auth    Authority
	channel Channel
	hash    Hash
	plus    bool
	suffix  string // of the nonce; "": made when it is needed

	step   scramStep
	asked  bool
	header []byte // GS2 header of the client
	bind   string // binding type; "": none
	nonce  string
	secret Secret
	log    []byte // the messages that the proof covers
}

// Next takes the messages in turn. The server's last one goes as a challenge, which
// the client answers with nothing: not every protocol carries data with success.
func (s *scramServer) Next(ctx context.Context, response []byte) (challenge []byte, done bool, err error) {
	if response == nil && s.step == scramStart && !s.asked {
		s.asked = true
		return []byte{}, false, nil
	}
	step := s.step
	s.step = scramOver
	switch step {
	case scramStart:
		challenge, err = s.first(ctx, response)
		s.step = scramFinal
	case scramFinal:
		challenge, err = s.final(ctx, response)
		s.step = scramProved
	case scramProved:
		if len(response) > 0 {
			return nil, false, invalid("unexpected response")
		}
		return nil, true, nil
	default:
		return nil, false, errOver
	}
	if err != nil {
		s.step = scramOver
	}
	return challenge, false, err
}

// first takes client-first-message and makes server-first-message, RFC 5802 §7.
func (s *scramServer) first(ctx context.Context, msg []byte) ([]byte, error) {
	m, err := parseFirst(msg)
	if err != nil {
		return nil, err
	}
	if err := s.checkBinding(m.flag); err != nil {
		return nil, err
	}
	s.header = m.header
	if s.secret, err = s.auth.Secret(ctx, s.hash, m.login, m.as); err != nil {
		return nil, err
	}
	if s.suffix == "" {
		if s.suffix, err = s.channel.newNonce(); err != nil {
			return nil, err
		}
	}
	s.nonce = m.nonce + s.suffix
	reply := fmt.Appendf(nil, "r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.secret.Salt), s.secret.Iterations)
	s.log = append(append(append(s.log, m.bare...), ','), reply...)
	return reply, nil
}

// checkBinding judges the GS2 flag, RFC 5802 §6. A client that says it could bind, but
// believes we cannot, was lied to by somebody between us.
func (s *scramServer) checkBinding(flag string) error {
	kind, binds := strings.CutPrefix(flag, "p=")
	switch {
	case binds != s.plus:
		return denied("channel binding and mechanism disagree")
	case flag == "y" && s.channel.bindable():
		return denied("channel binding was offered: somebody took the offer away")
	case binds && len(s.channel.bindings(kind)) == 0:
		return denied("unknown type of channel binding")
	}
	s.bind = kind
	if !binds {
		s.bind = ""
	}
	return nil
}

// final takes client-final-message and makes server-final-message. What is wrong is
// looked for to the end, so that all failures look alike.
func (s *scramServer) final(ctx context.Context, msg []byte) ([]byte, error) {
	i := bytes.LastIndex(msg, []byte(",p="))
	if i < 0 {
		return nil, invalid("no proof")
	}
	fields := strings.Split(string(msg[:i]), ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "c=") || !strings.HasPrefix(fields[1], "r=") {
		return nil, invalid("malformed final message")
	}
	bound, err := base64.StdEncoding.DecodeString(fields[0][2:])
	if err != nil {
		return nil, invalid("channel binding is not base64")
	}
	proof, err := base64.StdEncoding.DecodeString(string(msg[i+3:]))
	if err != nil || len(proof) != s.hash.Size() {
		return nil, invalid("malformed proof")
	}
	covered := append(append(s.log, ','), msg[:i]...)
	key := s.hash.mac(s.secret.StoredKey, covered)
	subtle.XORBytes(key, key, proof)
	right := hmac.Equal(s.hash.sum(key), s.secret.StoredKey)
	right = s.isBound(bound) && right
	right = subtle.ConstantTimeCompare([]byte(fields[1][2:]), []byte(s.nonce)) == 1 && right
	signature := s.hash.mac(s.secret.ServerKey, covered)
	if err := s.auth.Proved(ctx, right); err != nil {
		return nil, err
	}
	if !right { // an Authority that lets it pass is wrong
		return nil, denied("")
	}
	return append([]byte("v="), base64.StdEncoding.EncodeToString(signature)...), nil
}

// isBound compares cbind-input, RFC 5802 §7: the GS2 header, and the channel's data.
func (s *scramServer) isBound(got []byte) bool {
	data, ok := bytes.CutPrefix(got, s.header)
	if !ok || s.bind == "" {
		return ok && len(data) == 0
	}
	for _, want := range s.channel.bindings(s.bind) {
		if hmac.Equal(data, want) {
			return true
		}
	}
	return false
}

// A firstMessage is client-first-message, RFC 5802 §7.
type firstMessage struct {
	header    []byte // as it came, with the comma behind it
	bare      []byte // what follows
	flag      string // "n", "y" or "p=" and the type
	as, login string
	nonce     string
}

func parseFirst(msg []byte) (m firstMessage, err error) {
	flag, rest, ok := strings.Cut(string(msg), ",")
	as, bare, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || flag != "n" && flag != "y" && !strings.HasPrefix(flag, "p=") {
		return m, invalid("malformed GS2 header")
	}
	m.flag = flag
	m.header, m.bare = msg[:len(msg)-len(bare)], msg[len(msg)-len(bare):]
	if m.as, err = parseAs(as); err != nil {
		return m, err
	}
	fields := strings.Split(bare, ",")
	if strings.HasPrefix(bare, "m=") {
		return m, invalid("extensions are not supported")
	}
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") {
		return m, invalid("malformed first message")
	}
	if m.login, err = parseName(fields[0][2:]); err != nil {
		return m, err
	}
	m.nonce = fields[1][2:]
	if len(m.nonce) < 1 || len(m.nonce) > 256 || strings.ContainsFunc(m.nonce, func(r rune) bool { return r < '!' || r > '~' }) {
		return m, invalid("malformed nonce")
	}
	return m, nil
}

// parseAs reads the authorization identity of a GS2 header.
func parseAs(s string) (string, error) {
	if s == "" || s == "a=" { // Quirk: libgsasl sends it with nothing in it
		return "", nil
	}
	name, ok := strings.CutPrefix(s, "a=")
	if !ok {
		return "", invalid("malformed authorization identity")
	}
	return parseName(name)
}

// parseName reads a saslname, RFC 5802 §7: =2C and =3D are the only escapes.
func parseName(s string) (string, error) {
	for i := range len(s) {
		if s[i] == '=' && !strings.HasPrefix(s[i:], "=2C") && !strings.HasPrefix(s[i:], "=3D") {
			return "", invalid("malformed name")
		}
	}
	name := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	return name, checkField("login", []byte(name))
}
