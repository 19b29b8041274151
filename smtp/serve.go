package smtp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"posthouse/smtp/wire"
)

// ErrClosed is what Serve returns after Shutdown.
var ErrClosed = errors.New("smtp: server closed")

// acceptPause is how long Serve waits after a failed accept, as when descriptors
// have run out.
const acceptPause = 50 * time.Millisecond

// Serve serves the connections of l with a face until Shutdown or the end of ctx,
// and closes l. It returns ErrClosed, or why l failed.
func (s *Server) Serve(ctx context.Context, l net.Listener, f Face) error {
	if !s.addListener(l) {
		_ = l.Close() // it was never used
		return ErrClosed
	}
	defer s.removeListener(l)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		nc, err := l.Accept()
		if err == nil {
			s.start(ctx, nc, f)
			continue
		}
		if s.isClosing() || ctx.Err() != nil {
			return ErrClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		s.opts.Logger.Warn("accept failed", "face", f.String(), "err", err)
		select {
		case <-time.After(acceptPause):
		case <-ctx.Done():
		}
	}
}

// ServeConn serves one connection and returns at its end.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn, f Face) {
	if c := s.admit(ctx, nc, f); c != nil {
		s.serve(c)
	}
}

func (s *Server) start(ctx context.Context, nc net.Conn, f Face) {
	if c := s.admit(ctx, nc, f); c != nil {
		go s.serve(c)
	}
}

// admit makes a conn, or turns the peer away and returns nil.
func (s *Server) admit(ctx context.Context, nc net.Conn, f Face) *conn {
	c := &conn{srv: s, opts: s.current.Load(), face: &faces[f], ctx: ctx, raw: nc, net: nc, started: time.Now(), state: stateStart}
	c.session.Origin = c.face.origin
	c.session.Remote = remoteAddr(nc)
	if !contains(c.opts.Proxies, c.session.Remote) && !s.enter(c) { // those of a proxy are counted by client
		s.stats.turned.Add(1)
		s.turnAway(c)
		return nil
	}
	s.mu.Lock()
	closing := s.closing
	if !closing {
		s.conns[c] = struct{}{}
		s.running.Add(1)
	}
	s.mu.Unlock()
	if closing {
		s.leave(c)
		_ = nc.Close() // nothing was said
		return nil
	}
	s.stats.connections.Add(1)
	s.stats.open.Add(1)
	return c
}

// turnAway says 421 if that needs no waiting: a crowd must not cost us goroutines.
func (s *Server) turnAway(c *conn) {
	if !c.face.implicit && c.raw.SetWriteDeadline(time.Now().Add(acceptPause)) == nil {
		_, _ = c.raw.Write(wire.AppendReply(nil, replyBusy)) // the peer may be gone
	}
	_ = c.raw.Close()
}

func (s *Server) serve(c *conn) {
	defer s.running.Done()
	defer context.AfterFunc(c.ctx, c.wake)()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.leave(c)
		s.stats.open.Add(-1)
	}()
	c.serve()
}

// enter counts the connection of a client, and reports whether it may be served.
func (s *Server) enter(c *conn) bool {
	if c.face.trusted || !c.session.Remote.IsValid() {
		return true
	}
	if s.opts.Bans != nil && s.opts.Bans.Banned(c.session.Remote) {
		return false
	}
	c.counted = s.admission.enter(c.session.Remote, time.Now())
	return c.counted
}

func (s *Server) leave(c *conn) {
	if c.counted {
		s.admission.leave(c.session.Remote)
		c.counted = false
	}
}

// Shutdown closes the listeners, tells idle peers to go (421) and waits for the
// others to finish their command, until ctx ends: then it closes them.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		close(s.quit)
	}
	s.closing = true
	for l := range s.listeners {
		_ = l.Close() // Serve sees it
	}
	for c := range s.conns {
		c.wake()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.raw.Close() // ends its reads and writes
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// wake makes the connection end at its next command, and now if it waits for one.
func (c *conn) wake() {
	if c.phase.Swap(phaseClosing) == phaseIdle {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // a connection that is closed wakes by itself
	}
}

func (s *Server) addListener(l closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l closer) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	_ = l.Close() // mostly closed already
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// remoteAddr is the peer's address; not valid for a local socket.
func remoteAddr(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
