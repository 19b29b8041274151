package dns

import (
	"context"
	"sync/atomic"
)

// An Offline is a context under which a Client answers from its cache alone. A lookup of
// what is not there fails at once, with ErrTemporary, and Missed says so from then on.
type Offline struct {
	context.Context
	missed atomic.Bool
}

type offlineKey struct{}

var errOffline = &Error{Err: ErrTemporary, Detail: "not in the cache"}

// Offline returns such a context. Who evaluates what is mostly known, as the policies of
// domains that write often, does so under it first: nothing waits, so nothing needs a
// time limit or a goroutine. If something was missed, the result is worth nothing, and
// the evaluation is made again with the context proper.
func (c *Client) Offline(ctx context.Context) *Offline { return &Offline{Context: ctx} }

// Missed reports that something was looked up that is not in the cache.
func (o *Offline) Missed() bool { return o.missed.Load() }

// Value is that of the context within, and for the Client the Offline itself.
func (o *Offline) Value(key any) any {
	if _, ok := key.(offlineKey); ok {
		return o
	}
	return o.Context.Value(key)
}
