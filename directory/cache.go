package directory

import (
	"sync"
	"time"

	"posthouse/mail"
)

const (
	// maxResolutions bounds the cache; an entry is some 200 bytes.
	maxResolutions = 10_000
	// resolutionAge is how long an entry is believed: changes by this process are
	// seen at once, those by another that shares the engine after this time.
	resolutionAge = time.Second
)

// resolutions remembers who receives for an address: every RCPT asks. Addresses
// that nobody has are not kept, so that guessing does not push out the others.
type resolutions struct {
	mu         sync.RWMutex // nests in nothing
	generation uint64       // changes of the directory
	known      map[mail.Address]resolved
}

type resolved struct {
	res  Resolution
	when time.Time
}

// load returns what is known of a, and the generation for add.
func (c *resolutions) load(a mail.Address, now time.Time) (res Resolution, generation uint64, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.known[a]
	age := now.Sub(e.when)
	return e.res, c.generation, ok && age >= 0 && age < resolutionAge
}

// add remembers res, unless the directory was changed since load: it may have been
// computed from the state before.
func (c *resolutions) add(generation uint64, a mail.Address, res Resolution, now time.Time) {
	if !res.Found {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if c.known == nil || len(c.known) >= maxResolutions {
		c.known = map[mail.Address]resolved{}
	}
	c.known[a] = resolved{res, now}
}

// forget is called after each commit of a change, also one that may have failed.
func (c *resolutions) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.known = nil
}
