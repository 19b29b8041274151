package smtp

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"posthouse/store/engine/mem"
)

// relayTricks are the addresses by which servers were talked into passing on mail of
// strangers: routes, percent hacks, bang paths, quotes, literals and empty parts.
var relayTricks = []struct{ from, to string }{
	{"eve@far.test", "victim@else.test"},
	{"", "victim@else.test"},
	{"ada@demo.test", "victim@else.test"}, // in our name
	{"postmaster@demo.test", "victim@else.test"},
	{"eve@[127.0.0.1]", "victim@else.test"},
	{"eve@localhost", "victim@else.test"},
	{"eve@mx.demo.test", "victim@else.test"},
	{"ada", "victim@else.test"},
	{"eve@far.test", "victim%else.test@demo.test"},
	{"eve@far.test", "victim%else.test@mx.demo.test"},
	{"eve@far.test", "victim%else.test@[127.0.0.1]"},
	{"eve@far.test", "victim%else.test"},
	{"eve@far.test", "\"victim@else.test\""},
	{"eve@far.test", "\"victim%else.test\""},
	{"eve@far.test", "\"victim@else.test\"@demo.test"},
	{"eve@far.test", "\"victim@else.test\"@[127.0.0.1]"},
	{"eve@far.test", "victim@else.test@demo.test"},
	{"eve@far.test", "victim@else.test@[127.0.0.1]"},
	{"eve@far.test", "@demo.test:victim@else.test"},
	{"eve@far.test", "@[127.0.0.1]:victim@else.test"},
	{"eve@far.test", "@mx.demo.test,@demo.test:victim@else.test"},
	{"eve@far.test", "else.test!victim"},
	{"eve@far.test", "else.test!victim@demo.test"},
	{"eve@far.test", "else.test!victim@[127.0.0.1]"},
	{"eve@far.test", "demo.test!else.test!victim"},
	{"eve@far.test", "victim@else.test."},
	{"eve@far.test", "victim@[192.0.2.1]"},
	{"eve@far.test", "victim@192.0.2.1"},
	{"eve@far.test", "victim@else.test%00@demo.test"},
	{"eve@far.test", "smtp:victim@else.test"},
	{"eve@far.test", "<victim@else.test>"},
	{"eve@far.test", "victim@@else.test"},
	{"eve@far.test", "victim(x)@else.test"},
	{"eve@far.test", "victim@else.test,ada@demo.test"},
}

// TestOpenRelay asks swaks to relay by each trick: none is passed on.
func TestOpenRelay(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	program, err := exec.LookPath("swaks")
	if err != nil {
		missingPeer(t, "swaks is not installed")
	}
	h := newHouse(t, mem.New(), nil)
	mx := h.listen(MX)
	for _, x := range relayTricks {
		from := x.from
		if from == "" {
			from = "<>"
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, program, "--server", mx, "--from", from, "--to", x.to, "--helo", "swaks.test", "--body", "relayed").CombinedOutput()
		cancel()
		if err == nil && x.to != "victim@else.test,ada@demo.test" { // the one is two recipients to swaks, of which one is here
			t.Errorf("from %s to %s was taken:\n%s", x.from, x.to, out)
		}
	}
	if q := h.queued(); len(q) != 0 {
		t.Errorf("%d messages go elsewhere: %q", len(q), q)
	}
	for _, who := range []string{"ben@demo.test"} {
		if got := h.inbox(who); len(got) != 0 {
			t.Errorf("%s got %q", who, got)
		}
	}
	if len(relayTricks) < 30 {
		t.Errorf("only %d tricks", len(relayTricks))
	}
}
