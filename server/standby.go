package server

import (
	"cmp"
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
	pullEvery   = 2 * time.Second // from elsewhere
	followLast  = 30 * time.Second
)

// Follow keeps the standby in data directory dir ready: its index up to date
// with what a server ships there. If the server ships elsewhere, as to a bucket,
// from is that place, and dir becomes and stays a copy of what is there; ""
// is the place that was named before. It ends with ctx, or when dir is promoted.
// told is called with each new position, and with an error that stays.
func Follow(ctx context.Context, c config.Config, from, dir string, told func(position uint64, err error)) error {
	pull, err := pullerOf(ctx, c, from, dir)
	if err != nil {
		return err
	}
	tick, pulled := time.NewTicker(followEvery), time.Time{}
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
		var err, perr error
		if pull != nil && time.Since(pulled) >= pullEvery {
			_, perr = pull.Pull(ctx)
			pulled = time.Now()
		}
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
		if perr != nil && ctx.Err() == nil && (f == nil || !f.Promoted()) {
			told(last, perr)
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

// pullerOf returns what copies the standby that dir is a copy of, or nil.
func pullerOf(ctx context.Context, c config.Config, from, dir string) (*local.Puller, error) {
	dir = filepath.Join(dir, StoreDir)
	known, err := local.Source(nil, dir)
	if err != nil || from == "" && known == "" {
		return nil, err
	}
	p, err := storeAt(ctx, c, cmp.Or(from, known))
	if err != nil {
		return nil, err
	}
	if from != "" && from != known {
		if err := local.SetSource(nil, dir, from); err != nil {
			return nil, err
		}
	}
	return local.NewPuller(nil, dir, p), nil
}

// Promoted is what Promote did.
type Promoted struct {
	Whole    bool `json:"whole"`    // no acknowledged change can be missing
	Accounts int  `json:"accounts"` // with new UIDVALIDITYs, as changes may be missing
}

// Promote makes the standby in data directory dir a server's own. If the server
// that shipped did not wait for it, clients may have seen later states: then
// every mailbox gets a new UIDVALIDITY, as after a restore. If dir is a copy of a
// standby that lies elsewhere, that is promoted, and all it has is taken, unless
// alone: for when it cannot be reached any more.
func Promote(ctx context.Context, c config.Config, dir string, alone bool) (p Promoted, err error) {
	c.Data, c.Backup = dir, config.Backup{}
	if err := becomeOwner(c); err != nil {
		return p, err
	}
	if p.Whole, err = promote(ctx, c, alone); err != nil {
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

func promote(ctx context.Context, c config.Config, alone bool) (whole bool, err error) {
	source, err := local.Source(nil, storeDir(c))
	if err != nil || source == "" || alone {
		if err != nil {
			return false, err
		}
		return local.Promote(nil, storeDir(c))
	}
	from, err := storeAt(ctx, c, source)
	if err != nil {
		return false, err
	}
	return local.PromoteFrom(ctx, nil, storeDir(c), from)
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

// StandbyStatus looks at the standby in data directory dir, or s3://bucket/path.
func StandbyStatus(ctx context.Context, c config.Config, dir string) (Standby, error) {
	p, err := storeAt(ctx, c, dir)
	if err != nil {
		return Standby{}, err
	}
	st, err := local.StandbyStatus(p.FS, p.Dir)
	return Standby{Complete: st.Complete, Promoted: st.Promoted, Synchronous: st.Synchronous, Position: st.Position, At: st.At, Bytes: st.Bytes}, err
}
