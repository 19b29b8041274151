package tlspolicy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"posthouse/dns"
	"posthouse/store/engine"
	"posthouse/tlspolicy/mtasts"
	"posthouse/tlspolicy/tlsrpt"
)

// STSOptions of OpenSTS. Engine, Resolver and Fetch are required.
type STSOptions struct {
	Engine   engine.Engine
	Resolver dns.Resolver
	Fetch    func(ctx context.Context, domain string) (mtasts.Policy, error)
	Record   Recorder // of policies that cannot be had
	Refresh  time.Duration
	Logger   *slog.Logger
	Now      func() time.Time
}

// An STS is the cache of MTA-STS policies: in memory, and in the engine so that a
// restart does not open a window for whoever suppresses a policy.
type STS struct {
	opts  STSOptions
	ctx   context.Context
	stop  context.CancelFunc
	group sync.WaitGroup

	mu     sync.Mutex // guards what follows
	known  map[string]*stsEntry
	flight map[string]chan struct{}
}

// An stsEntry is what is kept about a domain. It is never changed.
type stsEntry struct {
	ID      string        `json:"id"`
	Policy  mtasts.Policy `json:"policy"`
	Fetched int64         `json:"fetched"` // Unix seconds
	Used    int64         `json:"used"`
	failed  time.Time     // of a domain without policy: when a fetch failed last
}

func (e *stsEntry) valid(now time.Time) bool {
	return e != nil && e.ID != "" && now.Before(time.Unix(e.Fetched, 0).Add(e.Policy.MaxAge))
}

const (
	// refreshAfter is the age at which a policy is fetched again unasked: RFC 8461 §10.2
	// wants it often, so that an attacker has little time left.
	refreshAfter = 24 * time.Hour
	// unusedAfter ends that for domains nobody writes to.
	unusedAfter = 30 * 24 * time.Hour
	// retryFetch is how long a policy that could not be fetched is not asked for.
	retryFetch = 5 * time.Minute
	// fetchWait bounds what a delivery waits for a policy. The fetch goes on.
	fetchWait = 30 * time.Second
	// maxKnown bounds the cache, in memory and in the engine.
	maxKnown = 50_000
	stsSpan  = "xs"
)

// OpenSTS reads the cache and begins to renew it.
func OpenSTS(o STSOptions) (*STS, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Refresh == 0 {
		o.Refresh = time.Hour
	}
	s := &STS{opts: o, known: map[string]*stsEntry{}, flight: map[string]chan struct{}{}}
	r := o.Engine.Snapshot(0)
	defer r.Close()
	err := r.Scan([]byte(stsSpan), []byte("xt"), func(key, val []byte) bool {
		e := new(stsEntry)
		if json.Unmarshal(val, e) == nil {
			s.known[string(key[len(stsSpan):])] = e
		}
		return len(s.known) < maxKnown
	})
	if err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.group.Go(s.run)
	return s, nil
}

// Close ends the renewal and fetches under way.
func (s *STS) Close() error {
	s.stop()
	s.group.Wait()
	return nil
}

// Policy returns what holds for a domain (A-labels) now, or nil. It fetches a policy
// that is new; while that fails, what is in the cache holds until it expires.
func (s *STS) Policy(ctx context.Context, domain string) *mtasts.Policy {
	e := s.entry(domain)
	a, err := s.opts.Resolver.LookupTXT(ctx, "_mta-sts."+domain)
	id, ok := "", false
	if err == nil {
		id, ok = mtasts.RecordID(a.Records)
	}
	if ok && (!e.valid(s.opts.Now()) || e.ID != id) {
		s.renew(ctx, domain, id)
		e = s.entry(domain)
	}
	if !e.valid(s.opts.Now()) || e.Policy.Mode == mtasts.None {
		return nil
	}
	return &e.Policy
}

func (s *STS) entry(domain string) *stsEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[domain]
}

// renew fetches a policy, once for all who wait, and returns when it is there or the
// caller has waited long enough.
func (s *STS) renew(ctx context.Context, domain, id string) {
	s.mu.Lock()
	if e := s.known[domain]; e != nil && s.opts.Now().Before(e.failed.Add(retryFetch)) || s.ctx.Err() != nil {
		s.mu.Unlock()
		return
	}
	done := s.flight[domain]
	if done == nil {
		done = make(chan struct{})
		s.flight[domain] = done
		s.group.Go(func() {
			s.fetch(domain, id)
			s.mu.Lock()
			delete(s.flight, domain)
			s.mu.Unlock()
			close(done)
		})
	}
	s.mu.Unlock()
	t := time.NewTimer(fetchWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

// fetch gets a policy and keeps it, or keeps that it failed.
func (s *STS) fetch(domain, id string) {
	p, err := s.opts.Fetch(s.ctx, domain)
	now := s.opts.Now()
	old := s.entry(domain)
	if err != nil {
		if s.ctx.Err() != nil {
			return
		}
		s.opts.Logger.Warn("mta-sts: policy not fetched", "domain", domain, "cached", old.valid(now), "err", err)
		s.recordFailure(domain, err)
		e := &stsEntry{failed: now}
		if old != nil {
			*e = *old
			e.failed = now
		}
		s.keep(domain, e)
		return
	}
	e := &stsEntry{ID: id, Policy: p, Fetched: now.Unix(), Used: now.Unix()}
	if s.keep(domain, e); s.store(domain, e) {
		s.opts.Logger.Info("mta-sts: policy fetched", "domain", domain, "mode", p.Mode.String(), "id", id)
	}
}

// keep puts an entry into memory. If it is full, one without a policy goes, or any.
func (s *STS) keep(domain string, e *stsEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[domain] == nil && len(s.known) >= maxKnown {
		tries := 0
		for name, k := range s.known { // random order
			if tries++; !k.valid(s.opts.Now()) || tries == 20 {
				delete(s.known, name)
				break
			}
		}
	}
	s.known[domain] = e
}

func (s *STS) store(domain string, e *stsEntry) bool {
	val, err := json.Marshal(e)
	if err == nil {
		b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Set, Key: []byte(stsSpan + domain), Val: val}}}
		_, err = s.opts.Engine.Commit(context.WithoutCancel(s.ctx), b).Wait()
	}
	if err != nil {
		s.opts.Logger.Error("mta-sts: policy not kept", "domain", domain, "err", err)
	}
	return err == nil
}

func (s *STS) recordFailure(domain string, err error) {
	if s.opts.Record == nil {
		return
	}
	d := tlsrpt.Detail{Result: tlsrpt.STSFetchError, Reason: shorten(err.Error())}
	var cert *tls.CertificateVerificationError
	var host x509.HostnameError
	switch {
	case errors.Is(err, mtasts.ErrInvalid):
		d.Result = tlsrpt.STSInvalid
	case errors.As(err, &cert), errors.As(err, &host):
		d.Result = tlsrpt.STSWebPKIInvalid
	}
	s.opts.Record.RecordTLS(domain, tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: domain}, d)
}

// run renews what grows old.
func (s *STS) run() {
	t := time.NewTicker(s.opts.Refresh)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.RefreshNow()
		case <-s.ctx.Done():
			return
		}
	}
}

// RefreshNow fetches the policies that are a day old, one after the other, and forgets
// those that have expired.
func (s *STS) RefreshNow() {
	now := s.opts.Now()
	var old, dead []string
	s.mu.Lock()
	for domain, e := range s.known {
		switch {
		case e.ID == "" && now.After(e.failed.Add(retryFetch)), e.ID != "" && !e.valid(now):
			dead = append(dead, domain)
			delete(s.known, domain)
		case e.ID != "" && now.After(time.Unix(e.Fetched, 0).Add(refreshAfter)) && now.Before(time.Unix(e.Used, 0).Add(unusedAfter)):
			old = append(old, domain)
		}
	}
	s.mu.Unlock()
	for _, domain := range dead {
		b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Delete, Key: []byte(stsSpan + domain)}}}
		if _, err := s.opts.Engine.Commit(s.ctx, b).Wait(); err != nil {
			return
		}
	}
	for _, domain := range old {
		if s.ctx.Err() != nil {
			return
		}
		a, err := s.opts.Resolver.LookupTXT(s.ctx, "_mta-sts."+domain)
		if err != nil {
			continue
		}
		if id, ok := mtasts.RecordID(a.Records); ok {
			s.renew(s.ctx, domain, id)
		}
	}
}
