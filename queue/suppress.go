package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A Suppression says that accounts of a domain of ours should not write to an address: it
// does not exist, or whoever reads there does not want it. Its key is "qx" FROM NUL TO in
// account 0, its value JSON. It stops what accounts hand in, and nothing that is in the
// queue; it never stands for an address that is here.
type Suppression struct {
	From   mail.Domain // of the reverse-path
	To     mail.Address
	Reason string // bounced, complained, operator
	Said   string // the other server's words, or who complained
	Count  int    // bounces so far; one alone stops nothing
	Since  time.Time
	Until  time.Time
}

// The reasons.
const (
	Bounced    = "bounced"
	Complained = "complained"
	ByOperator = "operator"
)

const (
	// suppressAfter is how many bounces stop an address: one may be a mistake of its
	// server.
	suppressAfter = 2
	// suppressGap is how far apart bounces are that count as two: a person who tries again
	// at once has learnt nothing new.
	suppressGap = time.Hour
)

// Stops reports whether it stops mail at a moment.
func (s Suppression) Stops(now time.Time) bool {
	return now.Before(s.Until) && (s.Reason != Bounced || s.Count >= suppressAfter)
}

// suppressions are all of them, by key; the engine has the same.
type suppressions struct {
	mu   sync.Mutex // nests in nothing
	list map[string]Suppression
}

func suppressionKey(from mail.Domain, to mail.Address) string {
	return "qx" + strings.ToLower(string(from)+"\x00"+to.String())
}

// suppressionForm is the value of qx. Times are Unix seconds.
type suppressionForm struct {
	From   string `json:"from"`
	Local  string `json:"l"`
	Domain string `json:"d"`
	Reason string `json:"reason"`
	Said   string `json:"said,omitempty"`
	Count  int    `json:"count,omitempty"`
	Since  int64  `json:"since"`
	Until  int64  `json:"until"`
}

// loadSuppressions reads them, and leaves those whose time is over to the next sweep.
func (q *Queue) loadSuppressions() error {
	q.suppressed.list = map[string]Suppression{}
	r := q.opts.Engine.Snapshot(0)
	defer r.Close()
	lo, hi := span('x')
	err := r.Scan(lo, hi, func(key, val []byte) bool {
		var f suppressionForm
		if json.Unmarshal(val, &f) != nil {
			q.opts.Logger.Error("queue: bad suppression", "key", string(key))
			return true
		}
		q.suppressed.list[string(key)] = Suppression{mail.Domain(f.From), mail.Address{Local: f.Local, Domain: mail.Domain(f.Domain)}, f.Reason, f.Said, f.Count, time.Unix(f.Since, 0), time.Unix(f.Until, 0)}
		return true
	})
	if err != nil {
		return engineFailure("Open", err)
	}
	return nil
}

// A suppressing is a change of one: nil takes it away.
type suppressing struct {
	key string
	to  *Suppression
}

func (c suppressing) op() engine.Op {
	if c.to == nil {
		return engine.Op{Kind: engine.Delete, Key: []byte(c.key)}
	}
	s := c.to
	val, _ := json.Marshal(suppressionForm{string(s.From), s.To.Local, string(s.To.Domain), s.Reason, s.Said, s.Count, s.Since.Unix(), s.Until.Unix()}) // strings and numbers: cannot fail
	return engine.Op{Kind: engine.Set, Key: []byte(c.key), Val: val}
}

// take notes changes that are durable.
func (s *suppressions) take(list []suppressing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range list {
		if c.to == nil {
			delete(s.list, c.key)
		} else {
			s.list[c.key] = *c.to
		}
	}
}

// hard reports whether a reply says that the address itself is not there: RFC 3463 §3.2,
// X.1.1, and RFC 7505 §4.1, X.1.10.
func hard(r mail.Reply) bool {
	return r.Permanent() && (r.Enhanced == [3]uint8{5, 1, 1} || r.Enhanced == [3]uint8{5, 1, 10})
}

// learn finds what the results of an attempt say about addresses that accounts write to.
// It is committed with the results.
func (e *entry) learn(now time.Time) []suppressing {
	env := &e.rec.env
	if e.q.set().Suppress < 0 || env.Account == 0 || env.ReversePath.IsNull() {
		return nil
	}
	var out []suppressing
	s := &e.q.suppressed
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range e.st.rcpts {
		rs := &e.st.rcpts[i]
		if rs.reported || rs.status == stWaiting {
			continue
		}
		key := suppressionKey(env.ReversePath.Domain, env.Recipients[i].Address)
		have, known := s.list[key]
		switch {
		case rs.status == stDelivered || rs.status == stRelayed:
			if known && have.Reason == Bounced {
				out = append(out, suppressing{key: key})
			}
		case rs.status == stFailed && rs.remote && hard(rs.reply):
			next := Suppression{From: env.ReversePath.Domain, To: env.Recipients[i].Address, Reason: Bounced, Said: rs.reply.String(), Count: 1, Since: now, Until: now.Add(e.q.set().Suppress)}
			if known && now.Before(have.Until) {
				if have.Reason != Bounced || now.Sub(have.Since) < suppressGap {
					continue
				}
				next.Count = have.Count + 1
			}
			if known || len(s.list) < e.q.set().Limits.Suppressed {
				out = append(out, suppressing{key, &next})
			}
		}
	}
	return out
}

// Suppressed reports whether accounts of a domain should not write to an address, and what
// they are told.
func (q *Queue) Suppressed(from mail.Domain, to mail.Address) (mail.Reply, bool) {
	q.suppressed.mu.Lock()
	s, ok := q.suppressed.list[suppressionKey(from, to)]
	q.suppressed.mu.Unlock()
	if !ok || !s.Stops(q.opts.Now()) {
		return mail.Reply{}, false
	}
	why := "mail to it came back repeatedly"
	switch s.Reason {
	case Complained:
		why = "its reader complained about mail from " + string(s.From)
	case ByOperator:
		why = "the administrator said so"
	}
	if s.Said != "" {
		why += " (" + plain(s.Said) + ")"
	}
	return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: fmt.Sprintf("%s is not written to until %s: %s. The administrator can lift it: posthouse queue suppressed remove %s",
		plain(to.String()), s.Until.UTC().Format(time.DateOnly), why, plain(to.String()))}, true
}

// maxSaid bounds what is told of another server's words.
const maxSaid = 120

// plain is a text of somebody else in one line of a reply.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid], "") + "..."
	}
	return s
}

// Suppress stops mail of accounts of s.From to s.To until s.Until; zero: for as long as
// after a bounce.
func (q *Queue) Suppress(ctx context.Context, s Suppression) error {
	const op = "Suppress"
	now := q.opts.Now()
	s.Since, s.Said = now, plain(s.Said)
	if s.Until.IsZero() {
		s.Until = now.Add(max(q.set().Suppress, defaultSuppress))
	}
	key := suppressionKey(s.From, s.To)
	q.sweepSuppressions(ctx)
	q.suppressed.mu.Lock()
	_, known := q.suppressed.list[key]
	full := !known && len(q.suppressed.list) >= q.set().Limits.Suppressed
	q.suppressed.mu.Unlock()
	if full {
		return failure(mail.TooLarge, op, "the list of suppressed addresses is full", nil)
	}
	return q.changeSuppressions(ctx, op, []suppressing{{key, &s}})
}

// Complained notes that whoever reads at an address does not want mail of a domain.
func (q *Queue) Complained(ctx context.Context, from mail.Domain, to mail.Address, who string) error {
	if q.set().Suppress < 0 {
		return nil
	}
	return q.Suppress(ctx, Suppression{From: from, To: to, Reason: Complained, Said: who})
}

// Returned notes that mail of a domain came back because an address is not there, as a
// bounce says that arrived later; it counts as one in an attempt of the queue does.
func (q *Queue) Returned(ctx context.Context, from mail.Domain, to mail.Address, said string) error {
	if q.set().Suppress < 0 {
		return nil
	}
	now := q.opts.Now()
	q.sweepSuppressions(ctx)
	next := Suppression{From: from, To: to, Reason: Bounced, Said: plain(said), Count: 1, Since: now, Until: now.Add(q.set().Suppress)}
	key := suppressionKey(from, to)
	q.suppressed.mu.Lock()
	have, known := q.suppressed.list[key]
	full := !known && len(q.suppressed.list) >= q.set().Limits.Suppressed
	q.suppressed.mu.Unlock()
	if full || known && (have.Reason != Bounced || now.Sub(have.Since) < suppressGap) {
		return nil
	}
	if known {
		next.Count = have.Count + 1
	}
	return q.changeSuppressions(ctx, "Returned", []suppressing{{key, &next}})
}

// Unsuppress lifts what stops mail to an address: that of one domain, or with "" that of
// all. NotFound if nothing does.
func (q *Queue) Unsuppress(ctx context.Context, from mail.Domain, to mail.Address) (int, error) {
	var changes []suppressing
	for _, s := range q.Suppressions() {
		if strings.EqualFold(s.To.String(), to.String()) && (from == "" || strings.EqualFold(string(from), string(s.From))) {
			changes = append(changes, suppressing{key: suppressionKey(s.From, s.To)})
		}
	}
	if len(changes) == 0 {
		return 0, failure(mail.NotFound, "Unsuppress", to.String()+" is not suppressed", nil)
	}
	return len(changes), q.changeSuppressions(ctx, "Unsuppress", changes)
}

// Suppressions are all that have not ended, also bounces that stop nothing yet, by domain
// and address.
func (q *Queue) Suppressions() []Suppression {
	now := q.opts.Now()
	q.suppressed.mu.Lock()
	list := slices.Collect(maps.Values(q.suppressed.list))
	q.suppressed.mu.Unlock()
	list = slices.DeleteFunc(list, func(s Suppression) bool { return !now.Before(s.Until) })
	slices.SortFunc(list, func(a, b Suppression) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To.Domain, b.To.Domain), cmp.Compare(a.To.Local, b.To.Local))
	})
	return list
}

// sweepSuppressions drops those whose time is over.
func (q *Queue) sweepSuppressions(ctx context.Context) {
	now := q.opts.Now()
	var over []suppressing
	q.suppressed.mu.Lock()
	for key, s := range q.suppressed.list {
		if !now.Before(s.Until) {
			over = append(over, suppressing{key: key})
		}
	}
	q.suppressed.mu.Unlock()
	if len(over) > 0 {
		_ = q.changeSuppressions(ctx, "sweep", over) // they stop nothing, swept or not
	}
}

func (q *Queue) changeSuppressions(ctx context.Context, op string, list []suppressing) error {
	b := &engine.Batch{Expect: engine.AnyVersion}
	for _, c := range list {
		b.Ops = append(b.Ops, c.op())
	}
	if _, err := q.opts.Engine.Commit(ctx, b).Wait(); err != nil {
		return engineFailure(op, err)
	}
	q.suppressed.take(list)
	return nil
}
