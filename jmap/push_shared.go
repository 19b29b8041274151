package jmap

import (
	"slices"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// A stream tells of the accounts of others too, as far as they are shared.

// maxSharedStreams is how many accounts of others one stream follows.
const maxSharedStreams = 50

// sharedTypes are those that there are of an account of somebody else.
var sharedTypes = []string{"Email", "EmailDelivery", "Job", "Mailbox", "MutedThread", "Thread"}

// sentTypes are there too for those who may send as the owner.
var sentTypes = []string{"EmailSubmission", "Identity"}

// A sharedFollow is the following of one of them.
type sharedFollow struct {
	c     *call
	pos   store.LogPos
	watch *store.Watcher
	stale bool // the client may have missed something
	types []string
}

// share begins to follow the accounts of others that are shared now, and leaves those
// that are not any more. missed says that the client does not know how those stand that
// are new to the stream: it was away, or they came since. It is told of all their types.
func (f *follow) share(missed bool) error {
	p, owners, err := f.c.owners(f.c.ctx, f.c.who)
	if err != nil {
		return err
	}
	f.others = slices.DeleteFunc(f.others, func(o *sharedFollow) bool {
		gone := !slices.Contains(owners, o.c.acct.ID())
		if gone {
			o.watch.Close()
		}
		return gone
	})
	for _, id := range owners {
		if len(f.others) >= maxSharedStreams || slices.ContainsFunc(f.others, func(o *sharedFollow) bool { return o.c.acct.ID() == id }) {
			continue
		}
		a, err := f.c.openShared(f.c.ctx, f.c.who, p, id)
		if err != nil {
			continue // nothing of it may be seen, or not now: the next check tries again
		}
		c := *f.c
		c.acct = a
		o := &sharedFollow{c: &c, stale: missed, types: sharedTypes, watch: a.WatchFunc(f.wake)}
		a.allow(store.ObjectJob, store.ObjectMute)
		if sends, err := c.sendsFor(c.ctx, c.who, id); err == nil && sends {
			o.types = slices.Concat(sharedTypes, sentTypes)
			a.allow(sentObjects...)
		}
		if err := a.View(c.ctx, func(v *store.View) error {
			o.pos = v.LogEnd()
			return nil
		}); err != nil {
			o.watch.Close()
			continue
		}
		f.others = append(f.others, o)
	}
	if missed {
		f.wake()
	}
	return nil
}

// wake makes the stream look.
func (f *follow) wake() {
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

// close ends all watches.
func (f *follow) close() {
	f.watch.Close()
	for _, o := range f.others {
		o.watch.Close()
	}
}

// nextShared adds what changed in the accounts of others.
func (f *follow) nextShared(changed wire.Object) wire.Object {
	for _, o := range f.others {
		names, at, err := o.next()
		if err != nil {
			continue // not shared any more, or not readable now
		}
		states := wire.Object{}
		for _, n := range names {
			if slices.Contains(o.types, n) && (f.types == nil || slices.Contains(f.types, n)) {
				states = states.With(n, at)
			}
		}
		if len(states) > 0 {
			changed = changed.With(o.c.acct.id, states)
		}
	}
	return changed
}

func (o *sharedFollow) next() (names []string, at string, err error) {
	err = o.c.view(func(v *store.View) error {
		switch {
		case o.stale:
			names = o.types
		case v.LogEnd() <= o.pos:
			return nil
		default:
			if names, err = o.c.changedTypes(v, o.pos); err != nil {
				return err
			}
		}
		o.stale, o.pos, at = false, v.LogEnd(), stateOf(v)
		return nil
	})
	return names, at, err
}
