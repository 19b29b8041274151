package queue

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/smtpclient"
	"posthouse/store/engine"
	"posthouse/tlspolicy"
	"posthouse/trace"
)

// A session is what a worker keeps from message to message: its connection.
type session struct {
	q    *Queue
	site *site
	conn *smtpclient.Conn
}

// connect returns a connection to one of the targets, the one that is open if it leads
// to them, and the targets that are left to try.
func (s *session) connect(ctx context.Context, ts []smtpclient.Target, hop bool) (*smtpclient.Conn, []smtpclient.Target, error) {
	for i, t := range ts {
		if s.leadsTo(t) {
			return s.conn, slices.Delete(slices.Clone(ts), i, i+1), nil
		}
	}
	s.quit()
	d := &s.q.set().Dialer
	if hop {
		d = &s.q.set().direct
	}
	c, tried, err := d.ConnectAny(ctx, ts)
	if err == nil {
		s.conn = c
	}
	var left []smtpclient.Target
	for i, t := range ts {
		if !slices.Contains(tried, i) {
			left = append(left, t)
		}
	}
	return c, left, err
}

func (s *session) leadsTo(t smtpclient.Target) bool {
	if !s.open() {
		return false
	}
	have := s.conn.Target()
	return have.Addr == t.Addr && have.Host == t.Host && have.Mode == t.Mode && have.Unix == t.Unix && have.TLS.Key == t.TLS.Key
}

// prefer moves the server of the open connection to the front: one that works is worth
// more than the order, and one that is down is not waited for each time.
func (s *session) prefer(servers []server) {
	for i, sv := range servers {
		if slices.ContainsFunc(sv.targets, s.leadsTo) {
			copy(servers[1:i+1], servers[:i])
			servers[0] = sv
			return
		}
	}
}

// open reports whether there is a connection that can be used again.
func (s *session) open() bool {
	return s.conn != nil && s.conn.Reusable() && s.conn.Used() < s.q.set().provider(s.site.name).PerConnection
}

// quit ends the connection, politely unless Close has lost patience.
func (s *session) quit() {
	if s.conn != nil {
		_ = s.conn.Quit(s.q.ctx) // nothing depends on it
		s.conn = nil
	}
}

// unreadable is how long an entry rests whose record cannot be read.
const unreadable = time.Hour

// attempt tries to deliver an entry that the worker owns, and gives it back.
func (q *Queue) attempt(s *session, it *item) {
	e, err := q.load(it)
	if errors.Is(err, engine.ErrNotFound) {
		(&entry{q: q, it: it}).gone() // known only to memory: nothing to lose
		return
	}
	if err != nil {
		q.opts.Logger.Error("queue: cannot read a message", "id", it.id, "err", err)
		q.mu.Lock()
		q.releaseLocked(it, q.opts.Now().Add(unreadable).UnixNano())
		q.mu.Unlock()
		return
	}
	if e.overdue(q.opts.Now()) { // RFC 2852 §4.1.3: no more attempts
		_ = q.conclude(e)
		return
	}
	groups := e.groups()
	for _, idx := range groups {
		if !q.deliver(s, e, idx, len(groups) == 1) {
			return // it waits for its site
		}
	}
	q.count.attempts.Add(1)
	if q.ctx.Err() != nil && !e.settled() {
		e.finish() // broken off by Close: as if it had not been
		return
	}
	_ = q.conclude(e) // has logged it
}

// settled reports whether a recipient has a final result that is not committed.
func (e *entry) settled() bool {
	for i := range e.st.rcpts {
		if rs := &e.st.rcpts[i]; rs.status != stWaiting && !rs.reported {
			return true
		}
	}
	return false
}

// deliver tries the servers for recipients that share a destination. If
// they are alone it may give the entry back untouched, and returns false.
func (q *Queue) deliver(s *session, e *entry, idx []int, alone bool) bool {
	domain := e.rec.env.Recipients[idx[0]].Address.Domain
	if q.atHome(e, idx, domain) {
		return true
	}
	own := e.destOf(domain) == e.it.dest.name
	if own {
		if r, host, paused := q.pausedBy(e.it.dest); paused {
			e.mark(idx, r, false, host)
			q.logAttempt(e, attemptLine{reply: r, remote: host, to: e.address(idx[0]), idx: idx, recipients: len(idx), paused: true})
			return true
		}
	}
	rt, err := q.route(q.ctx, e, domain)
	if err != nil {
		var v *verdict
		errors.As(err, &v)
		e.mark(idx, v.reply, false, "")
		q.logAttempt(e, attemptLine{reply: v.reply, remote: string(domain), to: e.address(idx[0]), idx: idx, recipients: len(idx)})
		return true
	}
	if own && !q.regroup(s, e.it, rt.site, alone) {
		return false
	}
	s.prefer(rt.servers)
	t := trial{q: q, s: s, e: e, rt: rt, left: idx}
	t.run()
	return true
}

// A trial is one attempt at a destination: server after server until nobody is left or
// enough were tried.
type trial struct {
	q    *Queue
	s    *session
	e    *entry
	rt   route
	left []int // recipients

	addresses, sessions int               // tried; of them, those that took a connection
	failed, refused     int               // connections; of them, those that waiting does not help
	last                *smtpclient.Error // that failed last
}

func (t *trial) run() {
	for n, sv := range t.rt.servers {
		for ts := sv.targets; len(ts) > 0 && t.goOn(); {
			ts = t.connect(sv, ts, n < len(t.rt.servers)-1)
		}
	}
	if t.sessions == 0 && t.last != nil && t.q.ctx.Err() == nil {
		t.q.noHost(t.e, t.left, t.last, t.refused == t.failed && !t.rt.hop && !t.rt.unsure)
	}
}

func (t *trial) goOn() bool {
	return len(t.left) > 0 && t.sessions < maxSessions && t.addresses < maxHosts && t.q.ctx.Err() == nil
}

// connect tries addresses of one server and returns those that are left.
func (t *trial) connect(sv server, ts []smtpclient.Target, more bool) []smtpclient.Target {
	q, e, start, before := t.q, t.e, time.Now(), t.s.conn
	conn, rest, err := t.s.connect(q.ctx, ts, t.rt.hop)
	t.addresses += len(ts) - len(rest)
	if err != nil || conn != before {
		sv.plan.Done(conn, addrOf(conn, ts), err)
	}
	if err != nil {
		errors.As(err, &t.last)
		if t.last.TLS() && t.rt.need == tlspolicy.NeedTLS {
			t.last.Reply.Code, t.last.Reply.Enhanced = 550, [3]uint8{5, 7, 10} // RFC 8689 §4.2.1
		}
		if t.failed++; t.last.Reply.Permanent() {
			t.refused++
		}
		q.logAttempt(e, attemptLine{reply: t.last.Reply, remote: t.last.Target, to: e.address(t.left[0]), recipients: len(t.left), took: time.Since(start), err: err})
		return rest
	}
	t.sessions++
	q.reached(e.it.dest)
	if !t.rt.hop && strings.EqualFold(conn.ServerName(), q.opts.Hostname) {
		var v *verdict
		errors.As(loop(string(e.rec.env.Recipients[t.left[0]].Address.Domain)), &v)
		e.mark(t.left, v.reply, false, conn.Target().String())
		e.tell(trace.Event{Kind: trace.Unreachable, Remote: conn.Target().String(), Reply: v.reply, To: e.fates(t.left, v.reply)})
		t.s.quit()
		t.left = nil
		return nil
	}
	tried := len(t.left)
	t.left = q.transact(t.s, e, conn, t.left, t.rt.hop)
	if len(t.left) > 0 && len(t.left) < tried && (more || len(rest) > 0) && t.sessions < maxSessions {
		q.checkpoint(e)
	}
	return rest
}

// addrOf is where a connection leads, or would have.
func addrOf(c *smtpclient.Conn, ts []smtpclient.Target) netip.Addr {
	if c != nil {
		return c.Target().Addr.Addr()
	}
	return ts[0].Addr.Addr()
}

// noHost notes that no host took a connection. A refusal in the greeting is final
// only if all hosts say so: one may be misconfigured.
func (q *Queue) noHost(e *entry, left []int, last *smtpclient.Error, final bool) {
	r := last.Reply
	if r.Permanent() && !final {
		r.Code -= 100
		if r.Enhanced[0] == 5 {
			r.Enhanced[0] = 4
		}
	}
	e.mark(left, r, last.Remote, last.Target)
	e.tell(trace.Event{Kind: trace.Unreachable, Remote: "The servers of " + string(e.address(left[0]).Domain), Reply: r, To: e.fates(left, r)})
	if !final {
		q.unreachable(e.it.dest, r, last.Target)
	}
}

// transact sends the message to some recipients over conn. It returns those for
// whom another host may be tried: nobody whose outcome is unknown.
func (q *Queue) transact(s *session, e *entry, conn *smtpclient.Conn, idx []int, hop bool) []int {
	start := time.Now()
	c, err := e.open(q.ctx)
	if err != nil {
		q.opts.Logger.Error("queue: cannot read a message", "tid", e.rec.env.TraceID, "id", e.it.id, "err", err)
		e.mark(idx, mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 0}, Text: "the message cannot be read here"}, false, "")
		return nil
	}
	defer c.Close()
	m := smtpclient.Message{Envelope: e.rec.env, Size: int64(len(c.prefix)) + c.blob.Size()}
	m.Envelope.Recipients = make([]mail.Recipient, len(idx))
	for n, i := range idx {
		m.Envelope.Recipients[n] = e.rec.env.Recipients[i]
	}
	if m.Envelope.UTF8 {
		if m.HeaderUTF8, err = c.needsUTF8(); err != nil {
			m.HeaderUTF8 = true // Send will find out
		}
	}
	m.Content = c.reader()
	res := conn.Send(q.ctx, m)
	if res.Stale { // it had died meanwhile: that says nothing about the host
		s.quit()
		fresh, _, err := s.connect(q.ctx, []smtpclient.Target{conn.Target()}, hop)
		var ce *smtpclient.Error
		if errors.As(err, &ce) {
			e.mark(idx, ce.Reply, ce.Remote, ce.Target)
			return idx
		}
		conn, m.Content = fresh, c.reader()
		res = conn.Send(q.ctx, m)
	}
	left := e.apply(idx, res, conn.Target().String())
	q.judge(s.site, res)
	q.logTransaction(e, conn, res, idx, start)
	return left
}

func (e *entry) address(i int) mail.Address { return e.rec.env.Recipients[i].Address }

// apply notes the outcomes of a transaction. It returns who may be tried elsewhere.
func (e *entry) apply(idx []int, res smtpclient.Result, host string) []int {
	var left []int
	for n, i := range idx {
		o := res.Outcomes[n]
		e.mark(idx[n:n+1], o.Reply, o.Remote, host)
		switch rs := &e.st.rcpts[i]; {
		case o.Reply.Positive() && res.DSN:
			rs.status = stDelivered
		case o.Reply.Positive():
			rs.status = stRelayed
		case rs.status == stWaiting && !o.Unknown && o.Reply.Code != 452:
			left = append(left, i)
		}
	}
	return left
}

// judge tells the site how its receiver took a transaction.
func (q *Queue) judge(at *site, res smtpclient.Result) {
	taken := false
	for _, o := range res.Outcomes {
		if o.Remote && throttled(o.Reply) {
			q.blame(at, o.Reply)
			return
		}
		taken = taken || o.Reply.Positive()
	}
	if taken {
		q.praise(at)
	}
}

// checkpoint commits results before another host is tried.
func (q *Queue) checkpoint(e *entry) {
	b := &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Set, Key: keyOf('s', e.it.id), Val: e.st.encode()}}}
	e.kept = true
	_ = q.commit(b) // fails only with Close, and then nothing else is tried
}

// An attemptLine is what is logged about one host.
type attemptLine struct {
	reply      mail.Reply
	remote     string
	to         mail.Address // the first recipient
	idx        []int        // the recipients, if it decides about them
	asked      bool         // the server has said what it thinks of the message
	recipients int
	delivered  int
	took       time.Duration
	tls        bool
	policy     string // how TLS was asked for: "dane", "sts", "opportunistic" …
	paused     bool   // nobody was asked: the destination rests after a failure
	err        error
}

func (q *Queue) logTransaction(e *entry, conn *smtpclient.Conn, res smtpclient.Result, idx []int, start time.Time) {
	l := attemptLine{remote: conn.Target().String(), to: e.address(idx[0]), idx: idx, asked: true, recipients: len(res.Outcomes), took: time.Since(start),
		tls: conn.TLS() != nil, policy: conn.Target().TLS.Key, err: res.Err}
	for _, o := range res.Outcomes {
		if o.Reply.Positive() {
			l.delivered++
		}
		if l.reply.Code <= o.Reply.Code { // the worst one
			l.reply = o.Reply
		}
	}
	q.count.delivered.Add(uint64(l.delivered))
	q.logAttempt(e, l)
}

func (q *Queue) logAttempt(e *entry, l attemptLine) {
	e.tellAttempt(&l)
	ctx := context.WithoutCancel(q.ctx)
	if !q.opts.Logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{slog.String("tid", e.rec.env.TraceID), slog.String("id", e.it.id.String()),
		slog.String("from", e.rec.env.ReversePath.String()), slog.String("to", l.to.String()), slog.String("remote", l.remote),
		slog.Int("rcpts", l.recipients), slog.Int("delivered", l.delivered), slog.String("reply", l.reply.String()),
		slog.Int("attempt", e.st.attempts+1), slog.Bool("tls", l.tls), slog.Duration("took", l.took)}
	if name, _, _ := strings.Cut(l.policy, " "); name != "" {
		attrs = append(attrs, slog.String("policy", name))
	}
	if l.paused {
		attrs = append(attrs, slog.Bool("paused", true))
	}
	if l.err != nil {
		attrs = append(attrs, slog.String("err", l.err.Error()))
	}
	q.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "attempt", attrs...)
}
