package directory

import (
	"net/netip"
	"testing"
)

// A network that is blamed enough is kept out, and seen among the bans.
func TestBlame(t *testing.T) {
	d, _, _, _ := house(t)
	bad, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	d.Blame(bad, 9)
	if d.Banned(bad) {
		t.Error("banned too soon")
	}
	d.Blame(bad, 1)
	if !d.Banned(bad) || d.Banned(other) || len(d.Bans()) != 1 {
		t.Errorf("%+v", d.Bans())
	}
	d.Blame(netip.MustParseAddr("127.0.0.1"), 100)
	if d.Banned(netip.MustParseAddr("127.0.0.1")) {
		t.Error("loopback is banned")
	}
}
