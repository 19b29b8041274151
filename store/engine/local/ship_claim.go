package local

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"posthouse/mail"
)

// Two servers must never ship to the same place: to one that was promoted, the
// old server comes back. So each place has a claim, which says who ships there and
// how often that has begun. Who begins raises the number if the claim is his own,
// in one step against all others; a promotion takes the claim away. Whoever ships
// acknowledges nothing before he has seen that his claim still stands, after
// what he acknowledges was there.
//
// In a directory, who writes also holds a lock meanwhile, and a promotion waits
// for that: so nothing is written after it. In a bucket nobody can be kept from
// it; what a later claim wrote counts there, see [objectExtent].
const (
	claimName     = "CLAIM"
	claimFirst    = "posthouse claim 1\n"
	claimPromoted = "promotion"
	swapLock      = claimName + ".lock" // held while it is changed
	shipLock      = claimName + ".ship" // held while frames are written
	ownerName     = "OWNER"             // in a store: who it is in claims
	lockPatience  = 30 * time.Second
)

// errSwapped: somebody else changed the file meanwhile.
var errSwapped = errors.New("local: somebody else changed it")

// A claiming is what a shipper knows of its claim.
type claiming struct {
	owner  string
	waited bool   // the place may say that nobody acknowledges without it
	text   []byte // what the claim is; nil: not ours yet
	lost   error  // it was ours: only a restart takes it again
	held   io.Closer
}

func claimText(epoch uint64, owner string) []byte {
	return fmt.Appendf(nil, "%sepoch %d\nowner %s\n", claimFirst, epoch, owner)
}

func parseClaim(b []byte) (epoch uint64, owner string, err error) {
	if n, err := fmt.Sscanf(string(b), claimFirst+"epoch %d\nowner %s\n", &epoch, &owner); err != nil || n != 2 || !bytes.Equal(b, claimText(epoch, owner)) {
		return 0, "", fmt.Errorf("local: the file %s is damaged: remove it if no other server ships there", claimName)
	}
	return epoch, owner, nil
}

// load reads who the store is in claims, and makes it somebody if need be.
func (c *claiming) load(e *Engine) error {
	b, err := readFile(e.fs, e.path(ownerName))
	if err == nil {
		owner, rest, _ := strings.Cut(string(b), "\n")
		if len(owner) == 32 {
			c.owner, c.waited = owner, rest == modeSync
			return nil
		}
	} else if !errors.Is(err, errNotExist) {
		return err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	c.owner = hex.EncodeToString(id[:])
	return c.save(e)
}

func (c *claiming) save(e *Engine) error {
	mode := modeAsync
	if c.waited {
		mode = modeSync
	}
	return writeFile(e.fs, e.dir, ownerName, []byte(c.owner+"\n"+mode))
}

// wait notes that the place will say, or says no more, that nobody acknowledges
// without it.
func (c *claiming) wait(e *Engine, waited bool) error {
	if c.waited == waited {
		return nil
	}
	c.waited = waited
	return c.save(e)
}

// take makes the place ours, or makes sure that it is.
func (c *claiming) take(s *shipper) error {
	if c.text != nil || c.lost != nil {
		return s.confirm()
	}
	if c.owner == "" {
		if err := c.load(s.e); err != nil {
			return err
		}
	}
	have, err := readClaim(s.fs, s.dir)
	if err != nil {
		return err
	}
	epoch, owner := uint64(0), c.owner
	if have != nil {
		if epoch, owner, err = parseClaim(have); err != nil {
			return err
		}
	}
	if owner != c.owner && !s.e.opt.mutate.shipUnclaimed {
		return s.refuse("another server ships there (claim %d of %.8s)", epoch, owner)
	}
	text := claimText(epoch+1, c.owner)
	if err := swapFile(s.fs, s.dir, claimName, have, text); errors.Is(err, errSwapped) {
		return s.refuse("another server has begun to ship there")
	} else if err != nil {
		return err
	}
	if o := remote(s.fs); o != nil {
		o.epoch.Store(epoch + 1)
	}
	c.text = text
	return nil
}

func readClaim(fsys vfs.FS, dir string) ([]byte, error) {
	b, err := readFile(fsys, fsys.PathJoin(dir, claimName))
	if errors.Is(err, errNotExist) {
		return nil, nil
	}
	return b, err
}

// confirm makes sure that the place is still ours.
func (s *shipper) confirm() error {
	if s.claim.lost != nil {
		return s.claim.lost
	}
	if s.claim.text == nil {
		return s.promoted()
	}
	have, err := readClaim(s.fs, s.dir)
	if err != nil || bytes.Equal(have, s.claim.text) || s.e.opt.mutate.shipUnclaimed {
		return err
	}
	s.open = false
	s.claim.lost = s.refuse("another server ships there now")
	if _, owner, err := parseClaim(have); err == nil && owner == claimPromoted {
		s.claim.lost = s.refusePromoted()
	}
	return s.claim.lost
}

// lock keeps others from writing to the place, if it is a directory that
// somebody ships to, and a promotion waiting.
func (c *claiming) lock(s *shipper) error {
	if remote(s.fs) != nil || c.held != nil {
		return nil
	}
	if _, err := s.fs.Stat(s.fs.PathJoin(s.dir, shippedName)); errors.Is(err, errNotExist) && c.text == nil {
		return nil // it may be somebody else's
	}
	l, err := s.fs.Lock(s.fs.PathJoin(s.dir, shipLock))
	if err != nil {
		return fmt.Errorf("local: somebody else ships to %s now: %w", s.dir, err)
	}
	c.held = l
	return s.confirm()
}

func (c *claiming) unlock() {
	if c.held != nil {
		_ = c.held.Close()
	}
	c.held = nil
}

// swapFile replaces a file that has the content old, nil: that is not there. If it
// has another one, it fails with errSwapped.
func swapFile(fsys vfs.FS, dir, name string, old, b []byte) error {
	if o := remote(fsys); o != nil {
		return o.swap(fsys.PathJoin(dir, name), old, b)
	}
	l, err := lockFor(fsys, fsys.PathJoin(dir, swapLock))
	if err != nil {
		return err
	}
	have, err := readFile(fsys, fsys.PathJoin(dir, name))
	switch {
	case errors.Is(err, errNotExist) && old == nil:
		err = nil
	case errors.Is(err, errNotExist) || err == nil && (old == nil || !bytes.Equal(have, old)):
		err = errSwapped
	}
	if err == nil {
		err = writeFile(fsys, dir, name, b)
	}
	return errors.Join(err, l.Close())
}

// lockFor waits for a lock, for some time.
func lockFor(fsys vfs.FS, name string) (io.Closer, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		l, err := fsys.Lock(name)
		if err == nil {
			return l, nil
		}
		if time.Now().After(end) {
			return nil, err
		}
	}
}

// fence takes the claim away from who has it, and waits until he writes no more.
// The lock is the caller's then.
func fence(fsys vfs.FS, dir string) (io.Closer, error) {
	for range 10 {
		have, err := readClaim(fsys, dir)
		if err != nil {
			return nil, err
		}
		epoch, owner := uint64(0), ""
		if have != nil {
			if epoch, owner, err = parseClaim(have); err != nil {
				return nil, err
			}
		}
		if owner != claimPromoted {
			err = swapFile(fsys, dir, claimName, have, claimText(epoch+1, claimPromoted))
		}
		if errors.Is(err, errSwapped) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l, err := lockFor(fsys, fsys.PathJoin(dir, shipLock))
		if err != nil {
			err = &mail.Error{Kind: mail.Unavailable, Op: "local.Promote", Text: "somebody still writes to " + dir + ": stop the server that ships there, and promote again", Err: err}
		}
		return l, err
	}
	return nil, &mail.Error{Kind: mail.Unavailable, Op: "local.Promote", Text: "servers begin to ship to " + dir + " again and again: stop them"}
}
