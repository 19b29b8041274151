package tlspolicy_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/store/engine/mem"
	"posthouse/tlspolicy"
	"posthouse/tlspolicy/mtasts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSTSCache: RFC 8461 §5.1. A policy that was seen holds until it expires, over a
// restart, whatever happens to record and policy host; a new id brings a new one.
func TestSTSCache(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	clock := func() time.Time { return time.Unix(0, now.Load()) }
	sleep := func(d time.Duration) { now.Add(int64(d)) }
	zone := func(id string) string { return "_mta-sts.a.test. TXT \"v=STSv1; id=" + id + "\"\n" }
	srv := dnstest.New(t, zone("1"))
	var fetched int
	answer, failing := mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"one.test"}, MaxAge: 10 * 24 * time.Hour}, error(nil)
	eng := mem.New()
	open := func() *tlspolicy.STS {
		s, err := tlspolicy.OpenSTS(tlspolicy.STSOptions{Engine: eng, Resolver: srv.Client(t, dns.Options{Now: clock}), Now: clock,
			Fetch: func(context.Context, string) (mtasts.Policy, error) {
				fetched++
				return answer, failing
			}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open()
	mx := func(want string, fetches int) {
		t.Helper()
		got := ""
		if p := s.Policy(t.Context(), "a.test"); p != nil {
			got = p.MX[0]
		}
		if got != want || fetched != fetches {
			t.Errorf("%q after %d fetches, want %q after %d", got, fetched, want, fetches)
		}
	}
	mx("one.test", 1)
	mx("one.test", 1)
	if p := s.Policy(t.Context(), "b.test"); p != nil {
		t.Errorf("%+v", p)
	}

	srv.SetZone(t, "x.test. A 127.0.0.1\n") // the record is gone: RFC 8461 §5.1
	sleep(time.Hour)
	mx("one.test", 1)
	srv.SetFault("_mta-sts.a.test", "", dnstest.ServFail)
	sleep(time.Hour)
	mx("one.test", 1)
	srv.SetFault("_mta-sts.a.test", "", dnstest.Fault{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	mx("one.test", 1)

	srv.SetZone(t, zone("2"))
	answer.MX, failing = []string{"two.test"}, errors.New("503")
	sleep(time.Hour)
	mx("one.test", 2) // it cannot be fetched: the old one holds
	mx("one.test", 2) // and is not asked for again at once
	failing = nil
	sleep(time.Hour)
	mx("two.test", 3)

	sleep(25 * time.Hour)
	answer.MX = []string{"three.test"}
	s.RefreshNow() // a day old: fetched again under the same id
	mx("three.test", 4)

	failing = errors.New("503")
	srv.SetZone(t, "x.test. A 127.0.0.1\n")
	sleep(10*24*time.Hour + time.Second)
	mx("", 4) // expired
	s.RefreshNow()
	r := eng.Snapshot(0)
	defer r.Close()
	if _, err := r.Get([]byte("xsa.test")); err == nil {
		t.Error("an expired policy is kept")
	}
}
