package publish

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/directory"
	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/store/engine/mem"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A rig is a service for demo.test on a DNS server of its own.
type rig struct {
	*Service
	t    *testing.T
	dir  *directory.Directory
	clk  *clock
	dns  *dnstest.Server
	told []string
	down bool // nobody can be told
}

const zone = "demo.test. IN MX 10 mx.demo.test.\n"

func newRig(t *testing.T, change func(o *Options)) *rig {
	t.Helper()
	r := &rig{t: t, clk: &clock{now: time.Unix(1_800_000_000, 0)}, dns: dnstest.New(t, zone)}
	var err error
	r.dir, err = directory.Open(t.Context(), mem.New(), directory.Options{Hash: directory.HashCost{MemoryKiB: 64, Passes: 1, Lanes: 1}, ProofIterations: -1, Now: r.clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.dir.AddDomain(t.Context(), "demo.test"); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Directory: r.dir, Hostname: "mx.demo.test", Now: r.clk.Now,
		Resolver: r.dns.Client(t, dns.Options{Timeout: 5 * time.Second, MaxTTL: time.Nanosecond, MaxNegative: time.Nanosecond, FailTTL: time.Nanosecond}),
		Rules:    directory.KeyRules{Rotate: 180 * 24 * time.Hour, Settle: time.Hour, Keep: 8 * 24 * time.Hour},
		Tell: func(_ context.Context, d mail.Domain, subject, text string) error {
			if r.down {
				return fmt.Errorf("nobody is there")
			}
			r.told = append(r.told, text)
			return nil
		},
	}
	if change != nil {
		change(&o)
	}
	r.Service = New(o)
	return r
}

// publish puts the records of the keys with these selectors into DNS.
func (r *rig) publish(more string, selectors ...string) {
	r.t.Helper()
	keys, err := r.Keys(r.t.Context(), "demo.test")
	if err != nil {
		r.t.Fatal(err)
	}
	text := zone + more
	for _, k := range keys {
		for _, s := range selectors {
			if s == k.Selector {
				text += ZoneLine(k.Record) + "\n"
			}
		}
	}
	r.dns.SetZone(r.t, text)
}

func (r *rig) stand() string {
	r.t.Helper()
	keys, err := r.Keys(r.t.Context(), "demo.test")
	if err != nil {
		r.t.Fatal(err)
	}
	var list []string
	for _, k := range keys {
		act := ""
		if k.Act {
			act = "!"
		}
		list = append(list, fmt.Sprintf("%s:%s%s", k.Selector, k.State, act))
	}
	return strings.Join(list, " ")
}

func (r *rig) want(stand string, told int) {
	r.t.Helper()
	r.Advance(r.t.Context())
	if got := r.stand(); got != stand || len(r.told) != told {
		r.t.Fatalf("%s, told %d times; want %s, %d\n%s", got, len(r.told), stand, told, strings.Join(r.told, "\n"))
	}
}

// The keys of a domain change by themselves, but for the records: what people must do
// is told them once, and again after a while.
func TestKeysRotate(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.dir.EnsureSigningKeys(t.Context(), "demo.test"); err != nil {
		t.Fatal(err)
	}
	r.want("202701r:active! 202701e:active!", 0) // who made them was shown the records
	r.publish("", "202701r", "202701e")
	r.want("202701r:active 202701e:active", 0)
	r.clk.advance(180 * 24 * time.Hour)
	r.down = true
	r.want("202701r:active 202701e:active 202707r:announced! 202707e:announced!", 0)
	r.down = false
	r.want("202701r:active 202701e:active 202707r:announced! 202707e:announced!", 1)
	if !strings.Contains(r.told[0], "202707r._domainkey.demo.test. IN TXT \"v=DKIM1; k=rsa;") || strings.Contains(r.told[0], "202701r") {
		t.Errorf("told: %s", r.told[0])
	}
	r.want("202701r:active 202701e:active 202707r:announced! 202707e:announced!", 1)
	r.clk.advance(15 * 24 * time.Hour)
	r.want("202701r:active 202701e:active 202707r:announced! 202707e:announced!", 2)
	r.publish("202707r._domainkey.demo.test. IN TXT \"v=DKIM1; k=rsa; p=\"\n", "202701r", "202701e", "202707e")
	r.want("202701r:active 202701e:active 202707r:announced! 202707e:announced", 2)
	r.clk.advance(time.Hour)
	r.want("202701r:active 202701e:retiring 202707r:announced! 202707e:active", 2)
	r.publish("", "202701r", "202701e", "202707r", "202707e")
	r.want("202701r:active 202701e:retiring 202707r:announced 202707e:active", 2)
	r.clk.advance(time.Hour)
	r.dns.SetFault("202707r._domainkey.demo.test", "TXT", dnstest.ServFail)
	r.want("202701r:active 202701e:retiring 202707r:announced 202707e:active", 2)
	r.dns.SetFault("202707r._domainkey.demo.test", "TXT", dnstest.Fault{})
	r.want("202701r:retiring 202701e:retiring 202707r:active 202707e:active", 2)
	r.clk.advance(9 * 24 * time.Hour)
	r.want("202701r:retired! 202701e:retired! 202707r:active 202707e:active", 3)
	if !strings.Contains(r.told[2], "202701e._domainkey.demo.test") || !strings.Contains(r.told[2], "may be deleted") {
		t.Errorf("told: %s", r.told[2])
	}
	r.publish("", "202707r", "202707e")
	r.want("202707r:active 202707e:active", 3)
	r.publish("", "202707r") // somebody deletes too much
	r.want("202707r:active 202707e:active!", 4)
	if !strings.Contains(r.told[3], "may refuse it") {
		t.Errorf("told: %s", r.told[3])
	}
}

// What waits in the queue keeps the record of the key that signed it.
func TestKeysWaitForTheQueue(t *testing.T) {
	var oldest time.Time
	r := newRig(t, func(o *Options) { o.Oldest = func() time.Time { return oldest } })
	if _, err := r.AdvanceKeys(t.Context(), "demo.test", true); err != nil { // makes the first, and announces others
		t.Fatal(err)
	}
	all := []string{"202701r", "202701e", "202701r2", "202701e2"}
	r.publish("", all...)
	r.want("202701r:active 202701e:active 202701r2:announced 202701e2:announced", 0)
	oldest = r.clk.Now()
	r.clk.advance(time.Hour)
	r.want("202701r:retiring 202701e:retiring 202701r2:active 202701e2:active", 0)
	r.clk.advance(100 * 24 * time.Hour)
	r.want("202701r:retiring 202701e:retiring 202701r2:active 202701e2:active", 0)
	oldest = time.Time{}
	r.want("202701r:retired! 202701e:retired! 202701r2:active 202701e2:active", 1)
}
