package imap

import (
	"net/netip"
	"testing"
	"time"
)

// TestRate: a network gets its tokens back over a minute, and costs nothing once it
// has them.
func TestRate(t *testing.T) {
	b, now := newBooks(Limits{}), fixedNow
	n := networkOf(netip.MustParseAddr("192.0.2.1"))
	take := func() (got int) {
		for b.take(n, 10, now) {
			got++
		}
		return got
	}
	if got := take(); got != 10 {
		t.Fatalf("%d at once", got)
	}
	now = now.Add(12 * time.Second)
	if got := take(); got != 2 {
		t.Fatalf("%d after a fifth of a minute", got)
	}
	now = now.Add(2 * time.Minute)
	if !b.take(networkOf(netip.MustParseAddr("192.0.2.2")), 10, now) || len(b.rates) != 1 {
		t.Fatalf("%d networks are remembered", len(b.rates))
	}
}

func TestNetworks(t *testing.T) {
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:2")
	if networkOf(a) != networkOf(b) {
		t.Error("one /64 is two networks")
	}
	if networkOf(netip.MustParseAddr("192.0.2.1")) == networkOf(netip.MustParseAddr("192.0.2.2")) {
		t.Error("two IPv4 addresses are one network")
	}
	_ = networkOf(netip.Addr{})
}
