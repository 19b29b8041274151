package directory

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"strings"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/smtp/wire"
)

// credential finds whose login it is. Without account the result is empty and
// the caller does the same work with the decoy.
func (d *Directory) credential(login string) (c claim, err error) {
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	r := reader{snap}
	who, ok := parseLogin(login)
	if !ok {
		return claim{}, nil
	}
	c.who = who
	acct, err := r.accountByAddress(who)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			err = nil
		}
		return c, err
	}
	c.acct = acct
	err = r.record("directory.Authenticate", idKey(credentialPrefix, acct.ID), &c.cred)
	if mail.KindOf(err) == mail.NotFound {
		err = nil
	}
	return c, err
}

// parseLogin reads a login name: an address, as people type it.
func parseLogin(login string) (mail.Address, bool) {
	login = strings.TrimSpace(login)
	i := strings.LastIndexByte(login, '@')
	if i <= 0 || len(login) > 1<<10 {
		return mail.Address{}, false
	}
	dom, err := wire.ParseDomain(login[i+1:])
	return mail.Address{Local: login[:i], Domain: dom}, err == nil
}

// matches returns the hash that the password has, or "". It hashes at least once.
func (d *Directory) matches(ctx context.Context, hashes []string, password string) (string, error) {
	if len(password) > maxPassword {
		hashes, password = nil, "" // matches nothing, at the same cost
	}
	if len(hashes) == 0 {
		hashes = []string{d.decoy}
	}
	leave, err := d.hashing.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	for _, phc := range hashes {
		ok, err := verify(phc, password)
		if err != nil {
			return "", err
		}
		if ok {
			return phc, nil
		}
	}
	return "", nil
}

// successes remembers passwords that were right, by a hash with a key that never
// leaves this process's memory.
type successes struct {
	key [32]byte

	mu   sync.Mutex
	seen map[successToken]success
}

type successToken [sha256.Size]byte

type success struct {
	phc   string // the credential that it matched
	until time.Time
}

const (
	maxSuccesses    = 16384         // about 4 MB
	successLifetime = 1 * time.Hour // bounds how long memory holds anything of an idle user
)

func newSuccesses(random io.Reader) (*successes, error) {
	s := &successes{seen: map[successToken]success{}}
	_, err := io.ReadFull(random, s.key[:])
	return s, err
}

func (s *successes) token(id mail.AccountID, password string) (t successToken) {
	h := hmac.New(sha256.New, s.key[:])
	var b [8]byte
	for i := range b {
		b[i] = byte(id >> (8 * i))
	}
	h.Write(b[:])
	io.WriteString(h, password)
	h.Sum(t[:0])
	return t
}

func (s *successes) holds(t successToken, current []string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.seen[t]
	if !ok || now.After(got.until) {
		return false
	}
	for _, phc := range current {
		if phc == got.phc {
			return true
		}
	}
	delete(s.seen, t)
	return false
}

func (s *successes) add(t successToken, phc string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for old := range s.seen { // any: a map's order is as good as random
		if len(s.seen) < maxSuccesses {
			break
		}
		delete(s.seen, old)
	}
	s.seen[t] = success{phc: phc, until: now.Add(successLifetime)}
}
