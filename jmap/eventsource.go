package jmap

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// eventSource is GET /jmap/eventsource, RFC 8620 §7.3.
func (s *Server) eventSource(w http.ResponseWriter, r *http.Request, who *principal) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := &stream{cancel}
	if !s.users.open(who.account.ID, st, s.limits.Streams) {
		(&requestError{"limit", http.StatusTooManyRequests, "too many event streams", "maxConcurrentRequests"}).write(w)
		return
	}
	defer s.users.shut(who.account.ID, st)
	c, err := s.streamCall(ctx, who)
	var f *follow
	if err == nil {
		f, err = c.follow(wantedTypes(r.URL.Query().Get("types")), position(r.Header.Get("Last-Event-ID")))
	}
	if err == nil {
		if err = f.share(r.Header.Get("Last-Event-ID") != ""); err != nil {
			f.close()
		}
	}
	if err != nil {
		s.failed(r.Context(), "jmap: event stream", "account", uint64(who.account.ID), "err", err)
		(&requestError{"", http.StatusServiceUnavailable, "try again later", ""}).write(w)
		return
	}
	defer f.close()
	seconds, _ := strconv.Atoi(r.URL.Query().Get("ping")) // none, or none that makes sense: no pings
	e := &eventWriter{w: w, ctl: http.NewResponseController(w), follow: f, ping: pingInterval(seconds), once: r.URL.Query().Get("closeafter") == "state"}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if err := e.run(ctx, s); err != nil {
		s.log.Debug("jmap: event stream ended", "account", uint64(who.account.ID), "err", err)
	}
}

// An eventWriter writes one stream.
type eventWriter struct {
	w      http.ResponseWriter
	ctl    *http.ResponseController
	follow *follow
	ping   time.Duration
	once   bool
}

// run writes events until the client has gone, the server ends, or, once, after one.
func (e *eventWriter) run(ctx context.Context, s *Server) error {
	if err := e.write(": hello\n\n"); err != nil { // so that the client sees that it is open
		return err
	}
	var pings <-chan time.Time
	if e.ping > 0 {
		t := time.NewTicker(e.ping)
		defer t.Stop()
		pings = t.C
	}
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	for {
		change, err := e.follow.next()
		if err != nil {
			return err
		}
		if change != nil {
			if err := e.event("state", e.follow.pos, change); err != nil || e.once {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.life.Done():
			return nil
		case _, open := <-e.follow.watch.C():
			if !open {
				return nil
			}
		case <-e.follow.poke:
		case <-check.C:
			if !s.isStillUser(ctx, e.follow.c.who) {
				return nil
			}
			if err := e.follow.share(true); err != nil {
				return err
			}
		case <-pings:
			if err := e.event("ping", 0, wire.Object{{Name: "interval", Value: int(e.ping / time.Second)}}); err != nil {
				return err
			}
		}
	}
}

func (e *eventWriter) event(name string, id store.LogPos, data wire.Object) error {
	text := "event: " + name + "\n"
	if id > 0 {
		text += "id: " + stateAt(id) + "\n"
	}
	return e.write(text + "data: " + string(wire.Append(nil, data)) + "\n\n")
}

func (e *eventWriter) write(text string) error {
	_ = e.ctl.SetWriteDeadline(time.Now().Add(time.Minute)) // not over a test's recorder
	if _, err := fmt.Fprint(e.w, text); err != nil {
		return err
	}
	return e.ctl.Flush()
}
