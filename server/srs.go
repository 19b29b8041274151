package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"posthouse/mailauth/srs"
	"posthouse/store/engine"
)

// The keys of SRS stand in the engine, account 0, at "xk". A new one is made each
// month, and believed for two: addresses live for three weeks.
const (
	srsKey    = "xk"
	srsRotate = 30 * 24 * time.Hour
	srsKeep   = 60 * 24 * time.Hour
)

// An srsSecret is one key.
type srsSecret struct {
	Made   int64  `json:"made"` // Unix seconds
	Secret []byte `json:"secret"`
}

// srsKeys hands out a Rewriter whose keys are not old.
type srsKeys struct {
	eng engine.Engine
	now func() time.Time

	mu      sync.Mutex // nests in nothing
	secrets []srsSecret
	current *srs.Rewriter
}

func openSRS(ctx context.Context, eng engine.Engine) (*srsKeys, error) {
	k := &srsKeys{eng: eng, now: time.Now}
	r := eng.Snapshot(0)
	defer r.Close()
	val, err := r.Get([]byte(srsKey))
	if err == nil {
		err = json.Unmarshal(val, &k.secrets)
	}
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("the keys of SRS: %w", err)
	}
	return k, k.renew(ctx)
}

// renew makes a key if the newest is old, and drops those that nobody needs.
func (k *srsKeys) renew(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if len(k.secrets) == 0 || now.Sub(time.Unix(k.secrets[0].Made, 0)) > srsRotate {
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return err
		}
		next := []srsSecret{{now.Unix(), secret}}
		for _, s := range k.secrets {
			if now.Sub(time.Unix(s.Made, 0)) < srsKeep {
				next = append(next, s)
			}
		}
		val, err := json.Marshal(next)
		if err != nil {
			return err
		}
		b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Set, Key: []byte(srsKey), Val: val}}}
		if _, err := k.eng.Commit(ctx, b).Wait(); err != nil {
			return err
		}
		k.secrets, k.current = next, nil
	}
	if k.current == nil {
		k.current = &srs.Rewriter{}
		for _, s := range k.secrets {
			k.current.Keys = append(k.current.Keys, s.Secret)
		}
	}
	return nil
}

// rewriter is the Rewriter of this moment.
func (k *srsKeys) rewriter() *srs.Rewriter {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}
