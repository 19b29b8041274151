package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Several protocols share one port by ALPN (RFC 7301): the names that a client offers in
// its first message decide who gets the connection. That message is read here and put
// back; TLS itself is done by the front end that serves, with its own configuration.

// A route takes the connections whose client offers one of the names.
type route struct {
	names []string
	serve func(net.Listener) error
}

const (
	helloTime = 10 * time.Second
	// maxHello bounds what is read of a client before its ALPN is known. A ClientHello
	// with post-quantum keys takes 2 kB.
	maxHello = 16 << 10
	// maxWaiting and maxWaitingPerPeer bound the connections that no front end has yet.
	maxWaiting, maxWaitingPerPeer = 2000, 50
)

// A splitter shares one listener.
type splitter struct {
	routes []route
	outs   []*sublistener // of routes

	mu      sync.Mutex // nests in nothing
	waiting map[netip.Addr]int
	conns   map[net.Conn]struct{}
	total   int
}

// split serves l until it is closed: each connection goes to the first of routes that
// knows a name its client offers, else to the last. It returns when all have ended.
func split(ctx context.Context, l net.Listener, routes []route) error {
	s := &splitter{routes: routes, waiting: map[netip.Addr]int{}, conns: map[net.Conn]struct{}{}}
	var wg sync.WaitGroup
	errs := make([]error, len(routes))
	for i, r := range routes {
		out := &sublistener{addr: l.Addr(), conns: make(chan net.Conn), done: make(chan struct{})}
		s.outs = append(s.outs, out)
		wg.Go(func() { errs[i] = r.serve(out) })
	}
	err := s.accept(ctx, l, &wg)
	s.close()
	wg.Wait()
	for _, e := range errs {
		if err == nil || errors.Is(err, net.ErrClosed) {
			err = e
		}
	}
	return err
}

// accept takes connections until l is closed, or all front ends have ended.
func (s *splitter) accept(ctx context.Context, l net.Listener, wg *sync.WaitGroup) error {
	ended := make(chan struct{})
	defer close(ended)
	go func() { // front ends close their listeners when they shut down
		for _, out := range s.outs {
			select {
			case <-out.done:
			case <-ended:
				return
			}
		}
		_ = l.Close() // ends Accept
	}()
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			if s.enter(nc) {
				wg.Go(func() { s.route(ctx, nc) })
			} else {
				_ = nc.Close()
			}
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			time.Sleep(50 * time.Millisecond) // out of descriptors: some will come back
		}
	}
}

// route reads the hello of a connection and hands it on.
func (s *splitter) route(ctx context.Context, nc net.Conn) {
	defer s.leave(nc)
	names, head, err := readHello(ctx, nc)
	if err != nil {
		_ = nc.Close()
		return
	}
	out := s.outs[len(s.outs)-1]
	for i, r := range s.routes {
		if offers(names, r.names) {
			out = s.outs[i]
			break
		}
	}
	select {
	case out.conns <- &peekedConn{Conn: nc, head: head}:
		return
	case <-out.done:
	case <-time.After(helloTime): // it takes no more for now
	}
	_ = nc.Close()
}

func offers(offered, known []string) bool {
	for _, a := range offered {
		for _, b := range known {
			if a == b {
				return true
			}
		}
	}
	return false
}

func peerOf(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (s *splitter) enter(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := peerOf(nc)
	if s.total >= maxWaiting || s.waiting[p] >= maxWaitingPerPeer {
		return false
	}
	s.total++
	s.waiting[p]++
	s.conns[nc] = struct{}{}
	return true
}

func (s *splitter) leave(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := peerOf(nc)
	s.total--
	if s.waiting[p]--; s.waiting[p] <= 0 {
		delete(s.waiting, p)
	}
	delete(s.conns, nc)
}

// close ends what waits.
func (s *splitter) close() {
	s.mu.Lock()
	for nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	for _, out := range s.outs {
		_ = out.Close()
	}
}

var errHello = errors.New("server: the hello is read")

// readHello returns the names that a client offers and the bytes that were read. What is
// no TLS is an error.
func readHello(ctx context.Context, nc net.Conn) (names []string, head []byte, err error) {
	if err := nc.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return nil, nil, err
	}
	r := &recorder{Conn: nc}
	seen := false
	peek := tls.Server(r, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names, seen = h.SupportedProtos, true
		return nil, errHello
	}})
	err = peek.HandshakeContext(ctx)
	if !seen {
		return nil, nil, err
	}
	return names, r.head.Bytes(), nc.SetReadDeadline(time.Time{})
}

// A recorder keeps what is read, and says nothing.
type recorder struct {
	net.Conn
	head bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	if r.head.Len() >= maxHello {
		return 0, io.ErrShortBuffer
	}
	n, err := r.Conn.Read(p[:min(len(p), maxHello-r.head.Len())])
	r.head.Write(p[:n])
	return n, err
}

func (r *recorder) Write(p []byte) (int, error)      { return len(p), nil } // an alert nobody should get
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

// A peekedConn gives back what was read of it.
type peekedConn struct {
	net.Conn
	head []byte
}

func (p *peekedConn) Read(b []byte) (int, error) {
	if len(p.head) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.head)
	if p.head = p.head[n:]; len(p.head) == 0 {
		p.head = nil
	}
	return n, nil
}

// CloseWrite ends our direction, where the connection can do that.
func (p *peekedConn) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// A sublistener is one route's part of a listener.
type sublistener struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *sublistener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *sublistener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *sublistener) Addr() net.Addr { return l.addr }
