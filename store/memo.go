package store

import "sync"

// A Memo is what a reader of an account derived from its messages, which never
// change, so that it need not derive it again. It lasts for as long as the account
// is in memory, and counts to what is kept there. Lock it to use it, never for long.
type Memo struct {
	sync.Mutex
	// Value is the matter of the one package that keeps something here, search; nil
	// is nothing yet, or nothing any more.
	Value any

	acct *account
}

// Memo is the account's; all handles share it.
func (a *Account) Memo() *Memo { return &a.memo }

// Grew counts bytes more to what the account takes in memory. The Memo is locked.
func (m *Memo) Grew(bytes int64) { m.acct.grow(bytes) }

// forget lets the value go.
func (m *Memo) forget() {
	m.Lock()
	m.Value = nil
	m.Unlock()
}
