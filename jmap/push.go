package jmap

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// objectNames are the types of what the store keeps as objects.
var objectNames = map[store.ObjectKind]string{
	store.ObjectIdentity: "Identity", store.ObjectSubmission: "EmailSubmission", store.ObjectVacation: "VacationResponse",
	store.ObjectMailbox: "Mailbox", store.ObjectSettings: "Settings", store.ObjectJob: "Job", store.ObjectSnooze: "Email",
	store.ObjectContact: "ContactCard", store.ObjectMute: "MutedThread",
}

// pushTypes are the types of which changes are pushed, RFC 8620 §7.1 and RFC 8621
// §1.5.
var pushTypes = []string{"ContactCard", "Email", "EmailDelivery", "EmailSubmission", "Identity", "Job", "Mailbox", "MutedThread", "Settings", "Thread", "VacationResponse"}

// A follow tells of the changes of one account to one listener.
type follow struct {
	c     *call
	types []string // nil: all
	pos   store.LogPos
	watch *store.Watcher

	others []*sharedFollow
	poke   chan struct{} // one of them may have changed
}

// follow starts to follow an account from a position; 0: from now.
func (c *call) follow(types []string, from store.LogPos) (*follow, error) {
	f := &follow{c: c, types: types, watch: c.acct.Watch(), poke: make(chan struct{}, 1)}
	err := c.acct.View(c.ctx, func(v *store.View) error {
		if f.pos = v.LogEnd(); from != 0 && from < f.pos {
			f.pos = from
		}
		return nil
	})
	if err != nil {
		f.watch.Close()
	}
	return f, err
}

// next returns what changed since it was called last, as a StateChange of RFC 8620
// §7.1; nil if nothing did that the listener wants to hear of.
func (f *follow) next() (wire.Object, error) {
	all := wire.Object{}
	err := f.c.view(func(v *store.View) error {
		if v.LogEnd() <= f.pos {
			return nil
		}
		names, err := f.c.changedTypes(v, f.pos)
		if err != nil {
			return err
		}
		f.pos = v.LogEnd()
		changed := wire.Object{}
		for _, n := range names {
			if f.types == nil || slices.Contains(f.types, n) {
				changed = changed.With(n, stateOf(v))
			}
		}
		if len(changed) > 0 {
			all = all.With(f.c.acct.id, changed)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if all = f.nextShared(all); len(all) == 0 {
		return nil, nil
	}
	return wire.Object{{Name: "@type", Value: "StateChange"}, {Name: "changed", Value: all}}, nil
}

// changedTypes names the types of which something changed since a position; all of
// them if the log does not say.
func (c *call) changedTypes(v *store.View, since store.LogPos) ([]string, error) {
	d, err := c.deltaSince(v, since, v.LogEnd())
	if err != nil {
		if e, _ := asMethodError(err); e.kind == "cannotCalculateChanges" {
			return pushTypes, nil
		}
		return nil, err
	}
	set := map[string]bool{}
	for _, id := range d.order {
		was, is := c.wasThere(d, id)
		set["Email"] = true
		if was != is {
			set["Thread"] = true
		}
		if is && !was {
			set["EmailDelivery"] = true
		}
	}
	if len(d.boxes) > 0 {
		set["Mailbox"] = true
	}
	for _, o := range d.objects {
		if n := objectNames[o.Kind]; n != "" {
			set[n] = true
		}
	}
	return sortedKeys(set), nil
}

// streamCall makes the call of a stream: for the user's own account.
func (s *Server) streamCall(ctx context.Context, who *principal) (*call, error) {
	a, err := s.account(ctx, who, accountID(who.account.ID))
	return &call{Server: s, ctx: ctx, who: who, acct: a, args: map[string]any{}, req: &request{created: map[string]string{}}}, err
}

// position reads a state that a client remembers; 0 if it is none.
func position(text string) store.LogPos {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0
	}
	return store.LogPos(n)
}

// wantedTypes reads a list of types; nil means all of them.
func wantedTypes(text string) []string {
	if text == "" || text == "*" {
		return nil
	}
	return strings.Split(text, ",")
}

// minPing and maxPing bound how often a stream says that it is there.
const (
	minPing = 5 * time.Second
	maxPing = 15 * time.Minute
)

func pingInterval(seconds int) time.Duration {
	if seconds <= 0 {
		return 0
	}
	return min(max(time.Duration(seconds)*time.Second, minPing), maxPing)
}

// isStillUser checks now and then that whoever opened a stream may still use it.
func (s *Server) isStillUser(ctx context.Context, who *principal) bool {
	a, err := s.opts.Directory.Account(ctx, who.account.ID)
	if err != nil {
		return mail.KindOf(err) != mail.NotFound
	}
	if a.Disabled {
		return false
	}
	if who.session == "" {
		return true
	}
	acct, err := s.opts.Store.Account(ctx, who.account.ID)
	if err == nil {
		err = acct.View(ctx, func(v *store.View) error {
			_, err := v.Object(store.ObjectSession, who.session)
			return err
		})
	}
	return mail.KindOf(err) != mail.NotFound || err == nil
}
