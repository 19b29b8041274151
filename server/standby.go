package server

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"posthouse/config"
	"posthouse/mail"
	"posthouse/store/engine/local"
)

// Times of a standby: how often it looks for new commits, and how long a
// promotion waits until the process that follows has let go.
const (
	followEvery = 100 * time.Millisecond
	followLast  = 30 * time.Second
)

// Follow keeps the standby in data directory dir ready: its index up to date
// with what a server ships there. It ends with ctx, or when dir is promoted.
// told is called with each new position, and with an error that stays.
func Follow(ctx context.Context, dir string, told func(position uint64, err error)) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var f *local.Follower
	defer func() {
		if f != nil {
			_ = f.Close() // the log has all that the index has
		}
	}()
	last, failures := uint64(0), 0
	const patience = int(time.Second / followEvery)
	for {
		var err error
		if f == nil {
			f, err = local.Follow(local.Options{Dir: filepath.Join(dir, StoreDir)})
		}
		if f != nil {
			var at uint64
			if at, err = f.Advance(ctx); err == nil && at != last {
				told(at, nil)
				last = at
			}
			if f.Promoted() {
				return nil
			}
		}
		if failures++; err == nil {
			failures = 0
		}
		if failures == patience { // a frame that is being written may look torn
			told(last, err)
		}
		if failures >= patience && f != nil { // perhaps it is copied anew
			_ = f.Close()
			f = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Promoted is what Promote did.
type Promoted struct {
	Whole    bool `json:"whole"`    // no acknowledged change can be missing
	Accounts int  `json:"accounts"` // with new UIDVALIDITYs, as changes may be missing
}

// Promote makes the standby in data directory dir a server's own. If the server
// that shipped did not wait for it, clients may have seen later states: then
// every mailbox gets a new UIDVALIDITY, as after a restore.
func Promote(ctx context.Context, c config.Config, dir string) (p Promoted, err error) {
	c.Data, c.Backup = dir, config.Backup{}
	if err := becomeOwner(c); err != nil {
		return p, err
	}
	if p.Whole, err = local.Promote(nil, storeDir(c)); err != nil {
		return p, err
	}
	s, err := OpenStopped(ctx, c)
	for end := time.Now().Add(followLast); errors.Is(err, ErrInUse) && time.Now().Before(end) && ctx.Err() == nil; s, err = OpenStopped(ctx, c) {
		time.Sleep(followEvery)
	}
	if errors.Is(err, ErrInUse) {
		return p, &mail.Error{Kind: mail.Unavailable, Op: "standby.promote", Text: dir + " is promoted already, and a server runs on it"}
	}
	if err != nil {
		return p, err
	}
	if !p.Whole {
		p.Accounts, err = s.store.Renew(ctx)
	}
	return p, errors.Join(err, s.Close())
}

// Standby is what can be told of a standby from outside.
type Standby struct {
	Complete    bool      `json:"complete"` // it could be promoted
	Promoted    bool      `json:"promoted"`
	Synchronous bool      `json:"synchronous"` // the server waits for it
	Position    uint64    `json:"position"`    // of the last commit
	At          time.Time `json:"at,omitzero"` // when that was made
	Bytes       int64     `json:"bytes"`
}

// StandbyStatus looks at the standby in data directory dir.
func StandbyStatus(dir string) (Standby, error) {
	st, err := local.StandbyStatus(nil, filepath.Join(dir, StoreDir))
	return Standby{Complete: st.Complete, Promoted: st.Promoted, Synchronous: st.Synchronous, Position: st.Position, At: st.At, Bytes: st.Bytes}, err
}
