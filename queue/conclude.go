package queue

import (
	"context"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/trace"
)

// conclude commits what an attempt or an operator brought about, together with the
// DSN that tells of it, and gives the entry back. An error says that the sender
// could not be told now; what is owed stays in the state and is tried again.
func (q *Queue) conclude(e *entry) error {
	now := q.opts.Now()
	e.st.attempts++
	expired := e.expire(now)
	if len(e.pending()) > 0 {
		q.count.deferred.Add(1)
	}
	if e.st.next != never {
		e.st.next = e.retryAt(now)
	}
	rep, ends := e.owed(now), e.ends()
	before := *e.st
	before.rcpts = append([]rcptState(nil), e.st.rcpts...)
	e.learnt = e.learn(now)
	e.settle(rep)
	if rep.empty() {
		q.logEnds(e, ends)
		e.tellOutcome(rep, expired, false)
		q.save(e)
		return nil
	}
	err := q.report(e, rep, now)
	if err != nil && e.hopeless(err, now) {
		q.opts.Logger.Warn("dsn refused", "tid", e.rec.env.TraceID, "id", e.it.id, "to", e.rec.env.ReversePath.String(), "err", err)
		q.logEnds(e, ends)
		e.tellOutcome(rep, expired, false)
		q.save(e)
		return nil
	}
	if err == nil {
		q.count.reports.Add(1)
		q.logEnds(e, ends)
		e.tellOutcome(rep, expired, true)
		q.ended(e)
		return nil
	}
	q.opts.Logger.Error("dsn not stored", "tid", e.rec.env.TraceID, "id", e.it.id, "err", err)
	*e.st, e.learnt = before, nil // learnt again with the DSN
	if e.st.next != never {
		e.st.next = min(e.st.next, now.Add(e.dsnRetry()).UnixNano())
	}
	q.save(e)
	return err
}

// hopeless reports whether a DSN that failed with err will never be stored. A full
// mailbox may be emptied: it is given as long again as the message was.
func (e *entry) hopeless(err error, now time.Time) bool {
	switch mail.KindOf(err) {
	case mail.NotFound, mail.Denied, mail.TooLarge, mail.Invalid:
		return true
	case mail.OverQuota:
		return now.After(e.rec.created.Add(2 * e.q.set().Lifetime))
	}
	return false
}

// dsnRetry is the wait before a DSN that could not be stored is tried again.
func (e *entry) dsnRetry() time.Duration {
	if e.st.attempts < 12 {
		return 5 * time.Minute
	}
	return time.Hour
}

// until is when the entry is given up.
func (e *entry) until() time.Time {
	if e.st.until != 0 {
		return time.Unix(0, e.st.until)
	}
	return e.rec.born().Add(e.q.set().Lifetime)
}

// overdue: the sender wants it back now (DELIVERBY with mode R, RFC 2852 §4.1.3).
func (e *entry) overdue(now time.Time) bool {
	return e.rec.env.ByReturn && !e.rec.env.DeliverBy.IsZero() && !now.Before(e.rec.env.DeliverBy)
}

// expire gives up on those who waited for too long, and returns them.
func (e *entry) expire(now time.Time) []int {
	if now.Before(e.until()) && !e.overdue(now) {
		return nil
	}
	idx := e.pending()
	for _, i := range idx {
		e.st.rcpts[i].status = stExpired
		e.q.count.expired.Add(1)
	}
	return idx
}

// A report is the recipients that the sender is to be told of, by index.
type report struct{ failed, relayed, delayed []int }

func (r report) empty() bool { return len(r.failed)+len(r.relayed)+len(r.delayed) == 0 }

// owed finds what the sender is to be told: RFC 3461 §4.1, with the defaults of
// §5.2 where NOTIFY was not given.
func (e *entry) owed(now time.Time) report {
	var r report
	late := !e.st.delayed && e.q.set().DelayDSN >= 0 && !now.Before(e.rec.born().Add(e.q.set().DelayDSN))
	// Mode N of DELIVERBY: the sender is told, and it is tried on (RFC 2852 §4.1.3).
	if by := e.rec.env.DeliverBy; !by.IsZero() && !e.st.late && !now.Before(by) {
		late = true
	}
	for i := range e.st.rcpts {
		rs, notify := &e.st.rcpts[i], e.rec.env.Recipients[i].Notify
		switch {
		case rs.reported:
		case rs.status == stFailed || rs.status == stExpired:
			if notify == 0 || notify&mail.NotifyFailure != 0 {
				r.failed = append(r.failed, i)
			}
		case rs.status == stRelayed && notify&mail.NotifySuccess != 0,
			e.rec.env.ByTrace && (rs.status == stRelayed || rs.status == stDelivered) && notify&mail.NotifyNever == 0: // RFC 2852 §4.1.4
			r.relayed = append(r.relayed, i)
		case rs.status == stWaiting && late && (notify == 0 || notify&mail.NotifyDelay != 0):
			r.delayed = append(r.delayed, i)
		}
	}
	if e.rec.env.ReversePath.IsNull() {
		if len(r.failed) > 0 {
			e.q.doubleBounce(e, r.failed)
		}
		return report{}
	}
	return r
}

// doubleBounce logs a failure that nobody can be told of.
func (q *Queue) doubleBounce(e *entry, failed []int) {
	q.count.doubleBounces.Add(1)
	e.tell(trace.Event{Kind: trace.Forgotten})
	for _, i := range failed {
		q.opts.Logger.Warn("undeliverable report dropped", "tid", e.rec.env.TraceID, "id", e.it.id,
			"to", e.rec.env.Recipients[i].Address.String(), "reply", e.st.rcpts[i].reply.String())
	}
}

// settle notes all as reported that is final.
func (e *entry) settle(r report) {
	for i := range e.st.rcpts {
		rs := &e.st.rcpts[i]
		rs.reported = rs.reported || rs.status != stWaiting
	}
	e.st.delayed = e.st.delayed || len(r.delayed) > 0
	by := e.rec.env.DeliverBy
	e.st.late = e.st.late || len(r.delayed) > 0 && !by.IsZero() && !e.q.opts.Now().Before(by)
}

// done: no recipient waits and nobody is owed a report.
func (e *entry) done() bool {
	for i := range e.st.rcpts {
		if rs := &e.st.rcpts[i]; rs.status == stWaiting || !rs.reported {
			return false
		}
	}
	return true
}

// batch is the change of the entry's keys to its state, or to nothing.
func (e *entry) batch() *engine.Batch {
	id := e.it.id
	b := &engine.Batch{Expect: engine.AnyVersion}
	for _, c := range e.learnt {
		b.Ops = append(b.Ops, c.op())
	}
	if e.done() {
		b.Ops = append(b.Ops, engine.Op{Kind: engine.Delete, Key: keyOf('m', id)}, engine.Op{Kind: engine.Delete, Key: dueKey(e.it.key, id)})
		if e.kept { // most are sent at once and never have one
			b.Ops = append(b.Ops, engine.Op{Kind: engine.Delete, Key: keyOf('s', id)})
		}
		return b
	}
	e.kept = true
	b.Ops = append(b.Ops, engine.Op{Kind: engine.Set, Key: keyOf('s', id), Val: e.st.encode()})
	if e.st.next != e.it.key {
		b.Ops = append(b.Ops, engine.Op{Kind: engine.Delete, Key: dueKey(e.it.key, id)})
	}
	if e.st.next != e.it.key || e.moved {
		b.Ops = append(b.Ops, engine.Op{Kind: engine.Set, Key: dueKey(e.st.next, id), Val: dueValue(e.due())})
	}
	return b
}

// due is what the qd key says of the entry.
func (e *entry) due() due {
	return due{e.st.next, e.rec.size, e.it.dest.name, e.it.priority, e.it.sender}
}

// save commits the entry's state and ends the work on it.
func (q *Queue) save(e *entry) {
	if !q.commit(e.batch()) {
		// Closing: what is in the engine stands, and the next start goes on from there.
		e.st.next = e.it.key
		e.finish()
		return
	}
	q.ended(e)
}

// ended gives back an entry whose state is committed.
func (q *Queue) ended(e *entry) {
	q.suppressed.take(e.learnt)
	if q.opts.Told != nil {
		q.opts.Told(q.info(e.it.id, e.rec, e.st))
	}
	if e.done() {
		e.gone()
	} else {
		e.finish()
	}
}

// commitWait bounds the pause between tries of a commit.
const commitWait = 10 * time.Second

// commit makes b durable. It does not give up while the queue is open, for what
// was answered by a server must not be forgotten; meanwhile no attempt begins.
// False: Close came first.
func (q *Queue) commit(b *engine.Batch) bool {
	failing := false
	defer func() {
		if failing {
			q.mu.Lock()
			q.faults--
			q.mu.Unlock()
			q.nudge()
		}
	}()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, commitWait) {
		_, err := q.opts.Engine.Commit(context.WithoutCancel(q.ctx), b).Wait()
		if err == nil {
			return true
		}
		if !failing {
			failing = true
			q.mu.Lock()
			q.faults++
			q.mu.Unlock()
			q.opts.Logger.Error("queue: cannot commit, sending stops", "err", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-q.ctx.Done():
			t.Stop()
			return false
		}
	}
}
