package smtpclient

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// stagger is that of RFC 8305 §5.
const stagger = 250 * time.Millisecond

// dialed is how a dial of race ended.
type dialed struct {
	i   int
	nc  net.Conn
	err error
}

// race dials the targets in their order, each a little after the last, or as soon as
// that has failed. It returns the first connection, the index of its target, and those
// that are done with; on failure the index is that of the last that failed. Dials that
// came too late are closed.
func (d *Dialer) race(ctx context.Context, ts []Target, wait time.Duration) (nc net.Conn, won int, tried []int, err error) {
	if len(ts) == 1 {
		nc, err = d.dial(ctx, ts[0], wait)
		return nc, 0, []int{0}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed)
	started, open := 0, 0
	start := func() {
		i := started
		started++
		open++
		go func() {
			c, err := d.dial(ctx, ts[i], wait)
			results <- dialed{i, c, err}
		}()
	}
	gap := d.Stagger
	if gap == 0 {
		gap = stagger
	}
	timer := time.NewTimer(gap)
	defer timer.Stop()
	start()
	for {
		select {
		case <-timer.C:
			if started < len(ts) {
				start()
				timer.Reset(gap)
			}
		case r := <-results:
			open--
			won = r.i
			tried = append(tried, r.i)
			if r.err == nil {
				cancel()
				go closeLate(results, open)
				return r.nc, r.i, tried, nil
			}
			if err = r.err; started < len(ts) && ctx.Err() == nil {
				start()
				timer.Reset(gap)
			} else if open == 0 {
				return nil, won, tried, err
			}
		}
	}
}

// closeLate takes the n dials that are still under way when the race is over.
func closeLate(results <-chan dialed, n int) {
	for range n {
		if r := <-results; r.nc != nil {
			_ = r.nc.Close()
		}
	}
}

// dial connects to one address, if the policy allows it.
func (d *Dialer) dial(ctx context.Context, t Target, wait time.Duration) (net.Conn, error) {
	network, address := "tcp", t.Addr.String()
	if t.Unix != "" {
		network, address = "unix", t.Unix
	} else {
		policy := d.AddrPolicy
		if policy == nil {
			policy = PublicOnly
		}
		if err := policy(t.Addr); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if d.DialContext != nil {
		return d.DialContext(ctx, network, address)
	}
	var nd net.Dialer
	if from, ok := d.source(t); ok {
		nd.LocalAddr = &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}
	}
	return nd.DialContext(ctx, network, address)
}

// source is the address to connect from.
func (d *Dialer) source(t Target) (netip.Addr, bool) {
	for _, a := range d.LocalAddrs {
		if t.Unix == "" && a.Unmap().Is4() == t.Addr.Addr().Unmap().Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}
