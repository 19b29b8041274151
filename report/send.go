package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/store/engine"
)

// SenderOptions of NewSender. All but Client, Now and Logger are required.
type SenderOptions struct {
	Engine   engine.Engine
	Resolver dns.Resolver
	Tally    *Tally
	Hostname string
	// Organization is who we are, for people; default Hostname.
	Organization string
	// From is the address that reports come from. Its domain must sign what it sends
	// (RFC 8460 §3); NotFound: there is none, and no reports are sent.
	From func(ctx context.Context) (mail.Address, error)
	// Inject takes a message in one commit with also, as delivery does it.
	Inject func(ctx context.Context, env mail.Envelope, content []byte, also *engine.Batch) error
	// Client posts reports to https: URIs; nil: nobody gets them so. It must dial only
	// where a stranger may lead us (internal/outward).
	Client *http.Client
	// Every is how often is looked what is due; 5 min.
	Every  time.Duration
	Rand   io.Reader
	Now    func() time.Time
	Logger *slog.Logger
}

// A Sender sends what a [Tally] has counted: a day after it is over, to those who asked
// for it. A destination gets a report once: that it was sent is noted by the commit that
// queues it. Afterwards what was counted is deleted.
type Sender struct {
	opts SenderOptions
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex           // of SendDue; nests outside of the Tally's
	next map[string]time.Time // of groups that could not be sent; under mu
}

const (
	// settled is how long after the end of a day nothing is counted for it any more.
	settled = 5 * time.Minute
	// spread is the time over which the reports of a day are sent, RFC 8460 §4.1.
	spread = 4 * time.Hour
	// retryEvery is the wait after a failure, and forgetAfter ends that (RFC 8460 §5.5).
	retryEvery  = time.Hour
	forgetAfter = 48 * time.Hour
	// maxDestinations of one report are served.
	maxDestinations = 5
	// maxReport bounds what is sent, packed: a limit that many receivers have.
	maxReport = 10 << 20

	sentPrefix = "rs"
)

// A draft is a report that is ready to be sent.
type draft struct {
	domain, id string
	from       mail.Address
	submitter  string // its domain, in A-labels
	begin, end time.Time
	name       string // of the file
	packed     []byte
	failure    *failure // that it is about; nil: an aggregate
}

// A destination is one place that wants a report.
type destination struct {
	uri string // what tells it apart
	to  mail.Address
	url string // https, if there is no address
	max int64  // octets, as mail carries it; 0: no bound
}

// A making is one kind of report that is sent.
type making struct {
	kind   Kind
	prefix string
	hashes int // octets of a group's key behind the domain
	// soon: it is sent at the next look, and kept until the day is over, so that what is
	// like it is told once a day.
	soon bool
	// build makes the report of what lies under a group, or fails with errEmpty.
	build func(r engine.Reader, group []byte, d *draft) error
	// places are those who want it; failed: DNS did not say of all.
	places func(ctx context.Context, domain string) (list []destination, failed bool)
	mail   func(d *draft, to mail.Address) ([]byte, error)
	media  string
}

func (s *Sender) makings() []making {
	return []making{
		{kind: DMARC, prefix: dmarcPrefix, hashes: 4, build: s.buildDMARC, places: s.dmarcPlaces, mail: s.dmarcMail, media: "application/gzip"},
		{kind: TLS, prefix: tlsPrefix, build: s.buildTLS, places: s.tlsPlaces, mail: s.tlsMail, media: "application/tlsrpt+gzip"},
		{kind: Feedback, prefix: failurePrefix, hashes: 8, soon: true, build: s.buildFailure, places: s.failurePlaces, mail: s.failureMail},
	}
}

var errEmpty = errors.New("report: nothing to report")

// NewSender returns a Sender that sends when it is told to, by Start or SendDue.
func NewSender(o SenderOptions) *Sender {
	if o.Every == 0 {
		o.Every = 5 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Organization == "" {
		o.Organization = o.Hostname
	}
	s := &Sender{opts: o, done: make(chan struct{}), next: map[string]time.Time{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Start begins to send. It may be called once.
func (s *Sender) Start() { go s.run() }

// Close ends what Start began; what was not sent is sent after the next start.
func (s *Sender) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Sender) run() {
	defer close(s.done)
	t := time.NewTicker(s.opts.Every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := s.SendDue(s.ctx); err != nil && s.ctx.Err() == nil {
				s.opts.Logger.Warn("report: none sent", "err", err)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// SendDue sends what is due now.
func (s *Sender) SendDue(ctx context.Context) error { return s.sendAll(ctx, false) }

// SendNow sends all reports of days that are over, also those whose time comes later or
// that failed.
func (s *Sender) SendNow(ctx context.Context) error { return s.sendAll(ctx, true) }

// A Pending is a report that was not sent yet.
type Pending struct {
	Kind   Kind
	Domain string
	Day    time.Time // that it is about, UTC
	Due    time.Time // when it is sent
	Failed bool      // it was tried, and is again when it is due
}

// Pending are the reports that were not sent yet, those of today among them.
func (s *Sender) Pending(ctx context.Context) ([]Pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Tally.Flush(ctx)
	var list []Pending
	for _, m := range s.makings() {
		groups, err := s.groups(&m, dayOf(s.opts.Now())+1)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			day := time.Unix(int64(dayIn(g))*86400, 0).UTC()
			if sent, err := s.isSent(sentKey(g, told)); sent || err != nil {
				continue
			}
			p := Pending{Kind: m.kind, Domain: domainIn(g), Day: day, Due: day.Add(24*time.Hour + settled + s.jitter(g))}
			if m.soon {
				p.Due = s.opts.Now()
			}
			if next, failed := s.next[string(g)]; failed {
				p.Due, p.Failed = next, true
			}
			list = append(list, p)
		}
	}
	return list, nil
}

func (s *Sender) sendAll(ctx context.Context, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Tally.Flush(ctx)
	now := s.opts.Now()
	for _, m := range s.makings() {
		today := dayOf(now)
		if m.soon {
			today++
		}
		groups, err := s.groups(&m, today)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			over := time.Unix(int64(dayIn(g)+1)*86400, 0)
			if m.soon {
				s.sendSoon(ctx, &m, g, over)
				continue
			}
			switch due := over.Add(settled + s.jitter(g)); {
			case now.Before(over.Add(settled)), !force && (now.Before(due) || now.Before(s.next[string(g)])):
			case now.After(due.Add(forgetAfter)):
				s.opts.Logger.Warn("report given up", "kind", string(m.kind), "domain", domainIn(g))
				s.forget(ctx, g)
			default:
				s.send(ctx, &m, g)
			}
		}
	}
	return nil
}

// told stands where a destination does in a key: that all who want the report have it.
const told = "all"

// sendSoon sends a report unless it was. When its day is over it is forgotten, a little
// later also if it could not be sent: it is no news any more.
func (s *Sender) sendSoon(ctx context.Context, m *making, group []byte, over time.Time) {
	sent, err := s.isSent(sentKey(group, told))
	now := s.opts.Now()
	switch {
	case err != nil:
	case now.After(over.Add(retryEvery)), sent && now.After(over.Add(settled)):
		s.forget(ctx, group)
	case !sent && !now.Before(s.next[string(group)]):
		s.send(ctx, m, group)
	}
}

// finish ends a report that all have who want it.
func (s *Sender) finish(ctx context.Context, m *making, group []byte) {
	if !m.soon {
		s.forget(ctx, group)
		return
	}
	delete(s.next, string(group))
	b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Set, Key: sentKey(group, told)}}}
	if _, err := s.opts.Engine.Commit(ctx, b).Wait(); err != nil && !errors.Is(err, engine.ErrUnavailable) {
		s.opts.Logger.Warn("report: it is not noted that it was sent", "err", err)
	}
}

// groups are the reports of days before today.
func (s *Sender) groups(m *making, today uint32) (list [][]byte, err error) {
	r := s.opts.Engine.Snapshot(0)
	defer r.Close()
	at := []byte(m.prefix)
	for end := binary.BigEndian.AppendUint32([]byte(m.prefix), today); at != nil && len(list) < maxDayGroups; {
		var g []byte
		err := r.Scan(at, end, func(key, _ []byte) bool {
			n := len(groupOf(string(key))) + m.hashes
			g = append([]byte(nil), key[:min(n, len(key))]...)
			return false
		})
		if err != nil || g == nil {
			return list, err
		}
		list, at = append(list, g), after(g)
	}
	return list, nil
}

func dayIn(group []byte) uint32 { return binary.BigEndian.Uint32(group[len(dmarcPrefix):]) }

func domainIn(group []byte) string {
	g := groupOf(string(group))
	return g[len(dmarcPrefix)+4 : len(g)-1]
}

// jitter is the same for a report each time that it is asked.
func (s *Sender) jitter(group []byte) time.Duration {
	sum := sha256.Sum256(append([]byte(s.opts.Hostname+"\x00"), group...))
	return time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(spread))
}

// send sends one report to all who want it, as far as they do not have it yet.
func (s *Sender) send(ctx context.Context, m *making, group []byte) {
	log := s.opts.Logger.With("kind", string(m.kind), "domain", domainIn(group))
	d, err := s.draft(ctx, m, group)
	if err != nil {
		if !errors.Is(err, errEmpty) {
			log.Warn("report not made", "err", err)
		}
		s.finish(ctx, m, group)
		return
	}
	if d == nil {
		s.later(group)
		return
	}
	list, failed := m.places(ctx, d.domain)
	served, large := 0, 0
	for i, to := range list[:min(len(list), maxDestinations)] {
		if to.max > 0 && mailSize(d) > to.max || len(d.packed) > maxReport {
			large++
			continue
		}
		done, err := s.deliver(ctx, m, group, d, to)
		if err != nil {
			log.Info("report not sent", "to", list[i].uri, "final", done, "err", err)
		} else {
			served++
		}
		failed = failed || !done
	}
	switch {
	case failed:
		s.later(group)
		return
	case served == 0 && large > 0:
		s.tooLarge(ctx, m, group, d, list)
	}
	if len(list) > 0 {
		log.Info("report sent", "id", d.id, "destinations", served, "too_large", large, "size", len(d.packed))
	}
	s.finish(ctx, m, group)
}

// draft makes the report; nil if it cannot be sent just now.
func (s *Sender) draft(ctx context.Context, m *making, group []byte) (*draft, error) {
	from, err := s.opts.From(ctx)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil, err
		}
		return nil, nil
	}
	begin := time.Unix(int64(dayIn(group))*86400, 0).UTC()
	d := &draft{domain: domainIn(group), from: from, begin: begin, end: begin.Add(24*time.Hour - time.Second)}
	if d.submitter, err = asciiDomain(from.Domain); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(s.opts.Hostname+"\x00"), group...))
	d.id = hex.EncodeToString(sum[:8])
	r := s.opts.Engine.Snapshot(0)
	defer r.Close()
	return d, m.build(r, group, d)
}

func (s *Sender) later(group []byte) {
	if len(s.next) > maxDayGroups {
		clear(s.next)
	}
	s.next[string(group)] = s.opts.Now().Add(retryEvery)
}

// sentKey notes that a destination has the report of a group.
func sentKey(group []byte, uri string) []byte {
	sum := sha256.Sum256([]byte(uri))
	return append(append([]byte(sentPrefix), group...), sum[:8]...)
}

func (s *Sender) isSent(key []byte) (bool, error) {
	r := s.opts.Engine.Snapshot(0)
	defer r.Close()
	_, err := r.Get(key)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// deliver brings the report to one destination. done: it has it, or never will.
func (s *Sender) deliver(ctx context.Context, m *making, group []byte, d *draft, to destination) (done bool, err error) {
	key := sentKey(group, to.uri)
	if sent, err := s.isSent(key); sent || err != nil {
		return sent, err
	}
	also := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Set, Key: key}}}
	if to.url != "" {
		if done, err := s.post(ctx, m, d, to.url); err != nil {
			return done, err
		}
		_, err := s.opts.Engine.Commit(ctx, also).Wait()
		return err == nil, err
	}
	content, err := m.mail(d, to.to)
	if err != nil {
		return true, err
	}
	return s.inject(ctx, d, to.to, content, also)
}

func (s *Sender) inject(ctx context.Context, d *draft, to mail.Address, content []byte, also *engine.Batch) (done bool, err error) {
	// Nobody is told when it fails: a report about a report helps nobody.
	env := mail.Envelope{TraceID: "report-" + d.id, Recipients: []mail.Recipient{{Address: to, Notify: mail.NotifyNever}}}
	err = s.opts.Inject(ctx, env, content, also)
	switch mail.KindOf(err) {
	case mail.NotFound, mail.Denied, mail.Invalid, mail.TooLarge:
		return true, err
	}
	return err == nil, err
}

// post brings a report by HTTPS, RFC 8460 §5.4.
func (s *Sender) post(ctx context.Context, m *making, d *draft, url string) (done bool, err error) {
	if s.opts.Client == nil {
		return true, errors.New("https is not used")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(d.packed))
	if err != nil {
		return true, err
	}
	req.Header.Set("Content-Type", m.media)
	req.Header.Set("User-Agent", "Posthouse")
	res, err := s.opts.Client.Do(req)
	if err != nil {
		return false, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if err := res.Body.Close(); err != nil {
		return false, err
	}
	switch {
	case res.StatusCode/100 == 2:
		return true, nil
	case res.StatusCode/100 == 4 && res.StatusCode != http.StatusRequestTimeout && res.StatusCode != http.StatusTooManyRequests:
		return true, errors.New("the server said " + res.Status)
	}
	return false, errors.New("the server said " + res.Status)
}

// forget deletes what was counted, and what was noted of sending it.
func (s *Sender) forget(ctx context.Context, group []byte) {
	delete(s.next, string(group))
	notes := append([]byte(sentPrefix), group...)
	b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{
		{Kind: engine.DeleteRange, Key: group, End: after(group)},
		{Kind: engine.DeleteRange, Key: notes, End: after(notes)},
	}}
	if _, err := s.opts.Engine.Commit(ctx, b).Wait(); err != nil && !errors.Is(err, engine.ErrUnavailable) {
		s.opts.Logger.Warn("report: counts stay", "err", err)
	}
}
