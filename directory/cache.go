package directory

import (
	"sync"
	"time"

	"posthouse/mail"
)

const (
	// maxAnswers bounds each cache; an entry is some 200 bytes.
	maxAnswers = 10_000
	// answerAge is how long an entry is believed: changes by this process are seen at
	// once, those by another that shares the engine after this time.
	answerAge = time.Second
)

// answers remember what every message asks: who receives for an address, who may send
// as one, what is known of an account. What does not exist is not kept, so that
// guessing does not push out the rest.
type answers[K comparable, V any] struct {
	mu         sync.RWMutex // nests in nothing
	generation uint64       // changes of the directory
	known      map[K]answer[V]
}

type answer[V any] struct {
	value V
	when  time.Time
}

// load returns what is known of k, and the generation for add.
func (c *answers[K, V]) load(k K, now time.Time) (v V, generation uint64, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.known[k]
	age := now.Sub(e.when)
	return e.value, c.generation, ok && age >= 0 && age < answerAge
}

// add remembers v, unless the directory was changed since load: it may have been
// computed from the state before.
func (c *answers[K, V]) add(generation uint64, k K, v V, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if c.known == nil || len(c.known) >= maxAnswers {
		c.known = map[K]answer[V]{}
	}
	c.known[k] = answer[V]{v, now}
}

// forget is called after each commit of a change, also one that may have failed.
func (c *answers[K, V]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.known = nil
}

// A memory is what a Directory remembers. Foreign domains have a cache of their own:
// who asks for mail to them must not push out the addresses that are here.
type memory struct {
	resolved answers[mail.Address, Resolution]
	foreign  answers[mail.Domain, struct{}]
	senders  answers[sender, struct{}]
	accounts answers[mail.AccountID, Account]
}

// A sender is an account and an address as which it may send.
type sender struct {
	id   mail.AccountID
	from mail.Address
}

func (m *memory) forget() {
	m.resolved.forget()
	m.foreign.forget()
	m.senders.forget()
	m.accounts.forget()
}
