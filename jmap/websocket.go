package jmap

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"posthouse/jmap/wire"
)

// A socket is JMAP over a WebSocket, RFC 8887.
type socket struct {
	*Server
	conn *websocket.Conn
	who  *principal
	ctx  context.Context
	out  chan []byte        // to be written
	stop context.CancelFunc // of the pushing under way; nil: none
}

// webSocket is GET /jmap/ws, RFC 8887 §4.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request, who *principal) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := &stream{cancel}
	if !s.users.open(who.account.ID, st, s.limits.Streams) {
		(&requestError{"limit", http.StatusTooManyRequests, "too many WebSockets", "maxConcurrentRequests"}).write(w)
		return
	}
	defer s.users.shut(who.account.ID, st)
	// The library refuses pages of other origins.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"jmap"}, OriginPatterns: sameHost(who.base)})
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	if conn.Subprotocol() != "jmap" {
		_ = conn.Close(websocket.StatusPolicyViolation, "the subprotocol is jmap")
		return
	}
	conn.SetReadLimit(2*s.limits.RequestBytes + 1) // what is a little too large gets an answer
	end := context.AfterFunc(s.life, cancel)
	defer end()
	k := &socket{Server: s, conn: conn, who: who, ctx: ctx, out: make(chan []byte, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.write()
		cancel()
	}()
	err = k.read()
	cancel()
	<-done
	code := websocket.StatusNormalClosure
	if websocket.CloseStatus(err) == -1 && s.life.Err() != nil {
		code = websocket.StatusGoingAway
	}
	_ = conn.Close(code, "") // the client may be gone already
}

func sameHost(base string) []string {
	u, err := url.Parse(base)
	if err != nil {
		return nil
	}
	return []string{u.Host}
}

// write sends what is to be sent, and pings an idle client.
func (k *socket) write() {
	idle := time.NewTicker(50 * time.Second)
	defer idle.Stop()
	for {
		var err error
		select {
		case <-k.ctx.Done():
			return
		case b := <-k.out:
			ctx, cancel := context.WithTimeout(k.ctx, time.Minute)
			err = k.conn.Write(ctx, websocket.MessageText, b)
			cancel()
		case <-idle.C:
			if !k.isStillUser(k.ctx, k.who) {
				return
			}
			ctx, cancel := context.WithTimeout(k.ctx, time.Minute)
			err = k.conn.Ping(ctx)
			cancel()
		}
		if err != nil {
			return
		}
	}
}

// read takes messages one after the other: a client that sends more waits.
func (k *socket) read() error {
	for {
		kind, b, err := k.conn.Read(k.ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageText {
			_ = k.conn.Close(websocket.StatusUnsupportedData, "text only")
			return errors.New("binary message")
		}
		k.send(k.message(b))
	}
}

func (k *socket) send(b []byte) {
	if b == nil {
		return
	}
	select {
	case k.out <- b:
	case <-k.ctx.Done():
	}
}

// message answers one message, RFC 8887 §4.3.
func (k *socket) message(b []byte) []byte {
	o, refusal := k.parse(b)
	if refusal != nil {
		return requestErrorMessage(refusal, nil)
	}
	switch o["@type"] {
	case "Request":
		return k.request(o)
	case "WebSocketPushEnable":
		return k.enable(o)
	case "WebSocketPushDisable":
		k.disable()
		return nil
	}
	return requestErrorMessage(&requestError{"notRequest", http.StatusBadRequest, "unknown @type", ""}, o["id"])
}

func requestErrorMessage(e *requestError, id any) []byte {
	o := append(wire.Object{{Name: "@type", Value: "RequestError"}, {Name: "requestId", Value: id}}, e.object()...)
	return wire.Append(nil, o)
}

func (k *socket) request(o map[string]any) []byte {
	if !k.users.allow(k.who.account.ID, k.limits.UserPerMinute, k.opts.Now()) {
		return requestErrorMessage(&requestError{"limit", http.StatusTooManyRequests, "too many requests", "maxConcurrentRequests"}, o["id"])
	}
	leave, refusal := k.enter(k.who, k.limits.Concurrent)
	if refusal != nil {
		return requestErrorMessage(refusal, o["id"])
	}
	defer leave()
	req, refusal := k.decode(o)
	if refusal != nil {
		return requestErrorMessage(refusal, o["id"])
	}
	k.run(k.ctx, k.who, req)
	head := []byte(`{"@type":"Response"`)
	if o["id"] != nil {
		head = wire.Append(append(head, `,"requestId":`...), o["id"])
	}
	return append(append(head, ','), req.appendTo(nil, k.sessionState(k.ctx, k.who))[1:]...)
}

// enable starts to push, RFC 8887 §4.3.5.2.
func (k *socket) enable(o map[string]any) []byte {
	k.disable()
	ctx, cancel := context.WithCancel(k.ctx)
	c, err := k.streamCall(ctx, k.who)
	from, _ := o["pushState"].(string)
	var f *follow
	if err == nil {
		f, err = c.follow(stringsOf(o["dataTypes"]), position(from))
	}
	if err == nil {
		if err = f.share(from != ""); err != nil {
			f.close()
		}
	}
	if err != nil {
		cancel()
		return requestErrorMessage(&requestError{"", http.StatusServiceUnavailable, "cannot push at present", ""}, o["id"])
	}
	k.stop = cancel
	k.tasks.Go(func() {
		defer f.close()
		k.push(ctx, f)
	})
	return nil
}

func (k *socket) disable() {
	if k.stop != nil {
		k.stop()
		k.stop = nil
	}
}

// push sends state changes until ctx ends.
func (k *socket) push(ctx context.Context, f *follow) {
	check := time.NewTicker(time.Minute)
	defer check.Stop()
	for {
		change, err := f.next()
		if err != nil {
			return
		}
		if change != nil {
			select {
			case k.out <- wire.Append(nil, change.With("pushState", stateAt(f.pos))):
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case _, open := <-f.watch.C():
			if !open {
				return
			}
		case <-f.poke:
		case <-check.C:
			if err := f.share(true); err != nil {
				return
			}
		}
	}
}
