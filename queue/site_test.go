package queue_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/queue"
	"posthouse/smtpclient/smtptest"
)

// siteZone has many domains behind the servers of one provider.
func siteZone(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "d%d.test. MX 10 mx.provider.test.\nd%d.test. MX 20 backup%d.provider.test.\n", i, i, i)
	}
	return b.String() + "mx.provider.test. A 127.0.0.1\n"
}

func siteWorld(t *testing.T, srv *smtptest.Server, domains int, change func(*queue.Options)) *world {
	return newWorld(t, srv.Addr.Port(), func(o *queue.Options) {
		o.Resolver = dnstest.New(t, siteZone(domains)).Client(t, dns.Options{Now: o.Now})
		if change != nil {
			change(o)
		}
	})
}

// The limit of connections is for the servers of a provider, not for each domain, and a
// connection is used for the next domain behind the same server.
func TestSiteOfManyDomains(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := siteWorld(t, srv, 60, func(o *queue.Options) { o.Limits.PerDestination, o.Linger = 4, time.Minute })
	for i := range 6 { // so that their servers are known
		w.add(fmt.Sprintf("x@d%d.test", i))
	}
	w.idle()
	if s := w.q.Stats(); s.Sites != 1 {
		t.Errorf("%+v", s)
	}
	for i := range 300 {
		w.add(fmt.Sprintf("x@d%d.test", i%60))
	}
	w.idle()
	w.empty()
	total, most := srv.Conns()
	if len(srv.Messages()) != 306 || total > 40 {
		t.Errorf("%d messages, %d connections, %d at a time", len(srv.Messages()), total, most)
	}
}

// A receiver that says 421 gets less: fewer connections, then pauses; and what it has
// refused goes later, once.
func TestThrottle(t *testing.T) {
	var mu sync.Mutex
	seen, slow := 0, true
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: func(c smtptest.Command) smtptest.Reaction {
		mu.Lock()
		defer mu.Unlock()
		if c.Verb != "MAIL" {
			return smtptest.Reaction{}
		}
		if seen++; slow {
			return smtptest.Reaction{Reply: "421 4.7.28 unusual rate of mail", Close: true}
		}
		return smtptest.Reaction{}
	}})
	w := siteWorld(t, srv, 3, nil)
	for i := range 100 {
		w.add(fmt.Sprintf("x@d%d.test", i%3))
	}
	w.idle()
	mu.Lock()
	asked := seen
	slow = false
	mu.Unlock()
	if s := w.q.Stats(); asked > 20 || s.Throttled == 0 || s.Entries != 100 {
		t.Errorf("asked %d times; %+v", asked, s)
	}
	for i := 0; w.q.Stats().Entries > 0 && i < 400; i++ {
		w.clock.add(10 * time.Second)
		w.idle()
	}
	w.empty()
	if n := len(srv.Messages()); n != 100 {
		t.Errorf("%d messages", n)
	}
}

// One who sends much does not keep the others waiting, and what is urgent comes first.
func TestFairness(t *testing.T) {
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions})
	w := siteWorld(t, srv, 3, func(o *queue.Options) { o.Limits.PerDestination, o.Limits.Active = 1, 1 })
	add := func(account mail.AccountID, priority int8, from string, n int) {
		for i := range n {
			env := envelope(fmt.Sprintf("r%d@d0.test", i))
			env.ReversePath.Local, env.Account, env.Priority = from, account, priority
			w.addEnv(env)
		}
	}
	w.close()
	q, err := queue.Open(t.Context(), w.opts) // not started: all is there before the first is sent
	if err != nil {
		t.Fatal(err)
	}
	w.q, w.once = q, sync.Once{}
	add(1, 0, "many", 200)
	add(2, 0, "few", 3)
	add(3, -5, "low", 3)
	add(4, 5, "urgent", 3)
	if err := w.q.Idle(canceled(t)); err == nil {
		t.Fatal("idle before it started")
	}
	w.q.Start(w.inj)
	w.idle()
	w.empty()
	last := map[string]int{}
	for i, m := range srv.Messages() {
		from, _, _ := strings.Cut(strings.TrimPrefix(m.From, "<"), "@")
		last[from] = i
	}
	if last["urgent"] > 3 || last["few"] > 12 || last["low"] > 30 || last["many"] < 200 {
		t.Errorf("last of each: %v", last)
	}
}

// A provider gets what it is configured to get: connections, messages on each and their
// rate; and it rests as it should.
func TestProvider(t *testing.T) {
	var refuse sync.Map
	srv := smtptest.New(t, smtptest.Options{Extensions: extensions, Hook: func(c smtptest.Command) smtptest.Reaction {
		if _, yes := refuse.Load("now"); yes && c.Verb == "MAIL" {
			return smtptest.Reaction{Reply: "421 4.7.0 too much"}
		}
		return smtptest.Reaction{}
	}})
	w := siteWorld(t, srv, 20, func(o *queue.Options) {
		o.Linger = time.Minute
		o.Providers = map[string]queue.Provider{"provider.test": {Connections: 1, PerConnection: 3, Rest: time.Hour, MostRest: 2 * time.Hour}}
	})
	site := func() queue.Site {
		for _, s := range w.q.Sites() {
			if s.Name == "provider.test" {
				return s
			}
		}
		t.Fatal("no such site")
		return queue.Site{}
	}
	for i := range 12 {
		w.add(fmt.Sprintf("x@d%d.test", i))
	}
	w.idle()
	w.empty()
	if total, most := srv.Conns(); len(srv.Messages()) != 12 || total < 4 || most > 12 {
		t.Errorf("%d messages, %d connections, %d at a time", len(srv.Messages()), total, most)
	}
	refuse.Store("now", true)
	w.add("x@d0.test", "y@d0.test")
	w.idle()
	if s := site(); !s.Configured || s.Connections != 1 || s.RestUntil.Sub(w.clock.Now()) != time.Hour {
		t.Errorf("%+v", s)
	}
	o := w.opts
	o.Providers = nil
	w.q.Apply(o)
	if s := w.q.Sites(); len(s) < 10 {
		t.Errorf("%+v", s)
	}
	for _, s := range w.q.Sites() {
		if s.Name == "google.com" && (s.Connections != 10 || !s.Known || s.Configured) {
			t.Errorf("%+v", s)
		}
	}
}
