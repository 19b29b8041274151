package directory

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"

	"posthouse/mail"
)

// A HashCost is what one password hash costs: argon2id, RFC 9106 §3.1.
type HashCost struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

func (c HashCost) orDefault() HashCost {
	if c.MemoryKiB == 0 {
		return HashCost{MemoryKiB: 19 << 10, Passes: 2, Lanes: 1}
	}
	return c
}

const (
	saltBytes = 16
	hashBytes = 32
	// maxPassword bounds what is hashed. Nobody types more; it is no attack
	// either, for argon2 digests the password once.
	maxPassword = 1 << 10
	// maxHashCost refuses a stored hash that would take the machine's memory.
	maxHashKiB    = 1 << 20
	maxHashPasses = 64
)

// hash returns the password's hash in PHC form: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (c HashCost) hash(password string, random io.Reader) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", err
	}
	key := argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, c.Lanes, hashBytes)
	return c.phc(salt, key), nil
}

// decoy returns a hash of the same cost that no password is known for.
func (c HashCost) decoy(random io.Reader) (string, error) {
	b := make([]byte, saltBytes+hashBytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", err
	}
	return c.phc(b[:saltBytes], b[saltBytes:]), nil
}

func (c HashCost) phc(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.MemoryKiB, c.Passes, c.Lanes,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// verify reports whether password has the hash phc. A hash that does not parse
// is Corrupt.
func verify(phc, password string) (bool, error) {
	c, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, c.Lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

func parsePHC(phc string) (c HashCost, salt, key []byte, err error) {
	bad := func(err error) (HashCost, []byte, []byte, error) {
		return HashCost{}, nil, nil, fail(mail.Corrupt, "directory.password", err, "a stored password does not parse")
	}
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return bad(nil)
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.MemoryKiB, &c.Passes, &c.Lanes); err != nil {
		return bad(err)
	}
	if c.MemoryKiB == 0 || c.MemoryKiB > maxHashKiB || c.Passes == 0 || c.Passes > maxHashPasses || c.Lanes == 0 {
		return bad(nil)
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return bad(err)
	}
	if key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(key) < 16 || len(key) > 64 {
		return bad(err)
	}
	return c, salt, key, nil
}

// preparePassword brings a password into the form that is hashed, so that two
// keyboards that write é differently agree: OpaqueString, RFC 8265 §4.2. What
// that profile refuses is taken as it is.
func preparePassword(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			if p, err := precis.OpaqueString.String(s); err == nil {
				return p
			}
			return s
		}
	}
	return s
}

func checkPassword(op, password string) error {
	switch {
	case password == "":
		return fail(mail.Invalid, op, nil, "the password is empty")
	case len(password) > maxPassword:
		return fail(mail.TooLarge, op, nil, "the password is longer than %d bytes", maxPassword)
	}
	return nil
}

// A hashGate bounds how much hashing goes on at once: slots by memory, waiters
// by number and time.
type hashGate struct {
	slots   chan struct{}
	waiters chan struct{}
}

const (
	waitersPerSlot = 128              // at 25 ms each the last waits about 3 s
	longestWait    = 10 * time.Second // a client that gives up earlier cancels its ctx
)

func newHashGate(memory int64, c HashCost) *hashGate {
	n := max(1, int(memory/(int64(c.MemoryKiB)<<10)))
	return &hashGate{slots: make(chan struct{}, n), waiters: make(chan struct{}, n*waitersPerSlot)}
}

// enter takes a slot, or fails with Unavailable.
func (g *hashGate) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-g.slots }
	select {
	case g.slots <- struct{}{}:
		return leave, nil
	default:
	}
	const op = "directory.Authenticate"
	select {
	case g.waiters <- struct{}{}:
		defer func() { <-g.waiters }()
	default:
		return nil, fail(mail.Unavailable, op, nil, "too many logins at once: try again in a moment")
	}
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	select {
	case g.slots <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, fail(mail.Unavailable, op, ctx.Err(), "too many logins at once: try again in a moment")
	}
}

// newCredential makes what is kept of a new password.
func (d *Directory) newCredential(ctx context.Context, op, password string) (c credentialRecord, err error) {
	if err := checkPassword(op, password); err != nil {
		return c, err
	}
	leave, err := d.hashing.enter(ctx)
	if err != nil {
		return c, err
	}
	defer leave()
	phc, err := d.opts.Hash.hash(preparePassword(password), d.opts.Rand)
	if err != nil {
		return c, fail(mail.Internal, op, err, "")
	}
	c.Passwords = []string{phc}
	if c.Proofs, err = d.proofs(password); err != nil {
		return c, fail(mail.Internal, op, err, "")
	}
	return c, nil
}

// NewPassword returns a random password that is easy to copy and to type: 20
// letters and digits without look-alikes, about 100 bits.
func NewPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // 31
	var b strings.Builder
	var one [1]byte
	for b.Len() < 20+3 {
		if b.Len()%6 == 5 {
			b.WriteByte('-')
			continue
		}
		if _, err := rand.Read(one[:]); err != nil {
			panic("directory: no randomness: " + err.Error())
		}
		if one[0] < 248 { // 8*31: no letter is likelier
			b.WriteByte(letters[one[0]%31])
		}
	}
	return b.String()
}
