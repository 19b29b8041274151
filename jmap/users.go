package jmap

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"posthouse/mail"
)

// users bounds what each user does at a time. It lives in memory only.
type users struct {
	mu   sync.Mutex
	byID map[mail.AccountID]*user
}

// A user is what one does at present.
type user struct {
	requests, uploads int
	minute            time.Time // when the present one began
	count             int       // requests in it
	streams           map[*stream]struct{}
}

// A stream is an event stream or WebSocket that is open.
type stream struct{ cancel context.CancelFunc }

// ofLocked returns the entry of a user; entries of idle users go when there are many.
func (u *users) ofLocked(id mail.AccountID) *user {
	if one := u.byID[id]; one != nil {
		return one
	}
	if len(u.byID) >= 10_000 {
		for old, one := range u.byID {
			if one.requests == 0 && one.uploads == 0 && len(one.streams) == 0 {
				delete(u.byID, old)
			}
		}
	}
	one := &user{streams: map[*stream]struct{}{}}
	u.byID[id] = one
	return one
}

// allow counts a request.
func (u *users) allow(id mail.AccountID, limit int, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.ofLocked(id)
	if now.Sub(one.minute) >= time.Minute {
		one.minute, one.count = now, 0
	}
	one.count++
	return one.count <= limit
}

// enter begins a request; leave ends it.
func (s *Server) enter(who *principal, limit int) (leave func(), refusal *requestError) {
	u := &s.users
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.ofLocked(who.account.ID)
	if one.requests >= limit {
		return nil, &requestError{"limit", http.StatusTooManyRequests, "too many requests at a time", "maxConcurrentRequests"}
	}
	one.requests++
	return func() {
		u.mu.Lock()
		one.requests--
		u.mu.Unlock()
	}, nil
}

// enterUpload begins an upload.
func (s *Server) enterUpload(who *principal) (leave func(), refusal *requestError) {
	u := &s.users
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.ofLocked(who.account.ID)
	if one.uploads >= s.limits.Uploads {
		return nil, &requestError{"limit", http.StatusTooManyRequests, "too many uploads at a time", "maxConcurrentUpload"}
	}
	one.uploads++
	return func() {
		u.mu.Lock()
		one.uploads--
		u.mu.Unlock()
	}, nil
}

// open registers a stream; false if the user has too many.
func (u *users) open(id mail.AccountID, st *stream, limit int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.ofLocked(id)
	if len(one.streams) >= limit {
		return false
	}
	one.streams[st] = struct{}{}
	return true
}

func (u *users) shut(id mail.AccountID, st *stream) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ofLocked(id).streams, st)
}

// drop ends the streams of a user.
func (u *users) drop(id mail.AccountID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if one := u.byID[id]; one != nil {
		for st := range one.streams {
			st.cancel()
		}
	}
}

// panicked reports a bug.
func (c *call) panicked(p any) {
	c.log.Error("jmap: panic", "method", c.method.name, "account", uint64(c.who.account.ID), "panic", p, "stack", string(debug.Stack()))
}
