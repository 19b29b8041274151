package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A run of an operation, and of all its repetitions in one round.
type opResult struct {
	things int64         // done in one run
	bytes  int64         // that came in one run
	took   time.Duration // median of the runs
	cpu    time.Duration // of the server, a thing
	whole  time.Duration // of all runs
	runs   int
}

func (r opResult) rate() float64 { return float64(r.things) / r.took.Seconds() }

// maxRuns bounds how often an operation is repeated in a round; maxReady, if each
// run is prepared and its CPU time looked up by itself.
const (
	maxRuns  = 2000
	maxReady = 30
)

// measureOp repeats an operation for about as long as given, at least once.
func measureOp(ctx context.Context, p *peer, user int, op operation, d time.Duration) (r opResult, err error) {
	if op.when == cold {
		if err := chill(ctx, p); err != nil {
			return r, err
		}
	}
	s, err := dialIMAP(p, user, op.tls)
	if err != nil {
		return r, err
	}
	defer s.close()
	if !strings.HasPrefix(op.name, "SELECT") { // which is measured cold, too
		if _, err := s.do("SELECT INBOX"); err != nil {
			return r, err
		}
	}
	if op.when == warm { // passwords are verified, caches filled
		if op.ready != nil {
			err = op.ready(s)
		}
		if err == nil {
			_, _, err = op.run(s)
		}
		if err != nil {
			return r, err
		}
	}
	most := maxRuns
	if op.ready != nil {
		most = maxReady
	}
	var took []time.Duration
	var cpu time.Duration
	for len(took) == 0 || op.when == warm && r.whole < d && len(took) < most && ctx.Err() == nil {
		if op.ready != nil {
			if err := op.ready(s); err != nil {
				return r, err
			}
		}
		if op.ready != nil || len(took) == 0 {
			before, err := readUsage(p.roots())
			if err != nil {
				return r, err
			}
			cpu -= before.cpu
		}
		start := time.Now()
		things, bytes, err := op.run(s)
		if err != nil {
			return r, err
		}
		one := time.Since(start)
		r.things, r.bytes, r.whole = things, bytes, r.whole+one
		took = append(took, one)
		if op.ready != nil {
			after, err := readUsage(p.roots())
			if err != nil {
				return r, err
			}
			cpu += after.cpu
		}
	}
	if op.ready == nil {
		after, err := readUsage(p.roots())
		if err != nil {
			return r, err
		}
		cpu += after.cpu
	}
	slices.Sort(took)
	r.runs, r.took = len(took), took[len(took)/2]
	r.cpu = cpu / time.Duration(r.things*int64(r.runs))
	return r, ctx.Err()
}

// chill empties the page cache; our own server is started anew, since it would
// remember more than others, who have a process for each connection.
func chill(ctx context.Context, p *peer) error {
	if p.restart != nil {
		if err := p.restart(ctx); err != nil {
			return err
		}
	}
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// imapReasons says why rows miss their aims, as profiles show; it is as old as the
// figures that were looked at.
const imapReasons = `Why rows miss their aim, from profiles. FETCH ENVELOPE and BODYSTRUCTURE: the whole record of a message, about 1.3 KB, is
read out of the index, a dozen to a block, and decoded, its preview copied; first and cold, the blocks are decompressed, too. HEADER.FIELDS is the same
since its fields come from the record; a field that is not kept there (Received, DKIM-Signature) needs the whole message, whose checksum is verified.
BODY[]: messages are read from the segment, half of the time, and their checksums verified, a fifth. One command a message, LOGIN, SELECT, STATUS: two
thirds of the time is waking up, reading and writing a socket in this guest; of a LOGIN also accepting and closing it. STORE of one message: a sync
each, which Dovecot does not do. SEARCH of headers: records are read one by one; there are no columns of header texts yet. CREATE and SUBSCRIBE: two
commits, each with its sync. SEARCH TEXT: the bytes of all messages are read and searched. SELECT cold: of 4.0 ms, reading the
account is 0.5 ms, reading the chunks of the mailbox 1.6 to 2.4 ms.`

// runIMAP is the part "imap": commands on a large mailbox, and on many mailboxes.
func runIMAP(ctx context.Context, b *benchmark) (table, error) {
	t := table{head: []string{"row", "server", "ms", "things/s", "× peer", "CPU µs/thing", "÷ peer", "MB/s", "aim"}}
	n := b.messages
	t.notes = append(t.notes, fmt.Sprintf("A mailbox of %d messages, about %d bytes each; the same on each server.", n, meanSize),
		"ms: one run; things: messages, or commands where the row names none. first: right after the mailbox was filled. cold: with an empty page cache, Posthouse started anew. Posthouse and Cyrus answer STORE after a sync, Dovecot does not sync it.",
		imapReasons)
	if err := b.start(ctx, "posthouse", "dovecot", "cyrus"); err != nil {
		return t, err
	}
	defer b.stop()
	for _, p := range b.peers {
		start := time.Now()
		if err := loadMailbox(ctx, p, 0, n); err != nil {
			return t, fmt.Errorf("filling the mailbox at %s: %w", p.name, err)
		}
		fmt.Printf("filled %d messages at %s in %v\n", n, p.name, time.Since(start).Round(time.Millisecond))
	}
	for _, set := range []struct {
		user int
		ops  []operation
	}{{0, operations(n)}, {1, operationsOnMany(1000)}, {2, operationsOnMany(10_000)}} {
		for _, op := range set.ops {
			if !b.only.MatchString(op.name) && op.when != first {
				continue
			}
			if op.when == cold && os.Getuid() != 0 {
				continue
			}
			rows, err := b.operation(ctx, set.user, op)
			if err != nil {
				return t, err
			}
			t.rows = append(t.rows, rows...)
		}
	}
	return t, nil
}

// operation runs a row on each peer, in turns.
func (b *benchmark) operation(ctx context.Context, user int, op operation) ([][]string, error) {
	rounds := b.rounds
	if op.when == first {
		rounds = 1
	}
	results := make([][]opResult, len(b.peers))
	for round := range rounds {
		for i := range b.peers {
			k := (i + round) % len(b.peers)
			p := b.peers[k]
			if op.mine && p.name != ours {
				continue
			}
			r, err := measureOp(ctx, p, user, op, b.cell)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				fmt.Printf("%-45s %-10s %v\n", op.name, p.name, err)
				continue
			}
			results[k] = append(results[k], r)
			fmt.Printf("%-45s %-10s %9.3f ms %11.0f /s %9.2f µs CPU\n", op.name, p.name, float64(r.took.Microseconds())/1e3, r.rate(), float64(r.cpu.Nanoseconds())/1e3)
		}
	}
	return op.rows(b.peers, results), nil
}

// rows spells the results of all peers, ours first.
func (op operation) rows(peers []*peer, results [][]opResult) [][]string {
	var rows [][]string
	var mine opResult
	for i, p := range peers {
		if op.mine && p.name != ours {
			continue
		}
		if len(results[i]) == 0 {
			rows = append(rows, []string{op.name, p.name, "–", "–", "", "–", "", "", ""})
			continue
		}
		r := middle(results[i])
		row := []string{op.name, p.name, fmt.Sprintf("%.3g", float64(r.took.Microseconds())/1e3), short(r.rate()), "",
			fmt.Sprintf("%.3g", float64(r.cpu.Nanoseconds())/1e3), "", "", ""}
		if r.bytes > 1<<20 {
			row[7] = fmt.Sprintf("%.0f", float64(r.bytes)/1e6/r.took.Seconds())
		}
		if p.name == ours {
			mine = r
			row[8] = op.aimed(r)
		} else if mine.runs > 0 {
			row[4] = fmt.Sprintf("%.2g", mine.rate()/r.rate())
			if mine.cpu > 0 {
				row[6] = fmt.Sprintf("%.2g", float64(r.cpu)/float64(mine.cpu))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// aimed says what the aim is, and whether it is met.
func (op operation) aimed(r opResult) string {
	var aims []string
	if op.rate > 0 {
		aims = append(aims, short(op.rate)+"/s "+met(r.rate() >= op.rate))
	}
	if op.cpu > 0 {
		aims = append(aims, fmt.Sprintf("%g µs %s", op.cpu, met(float64(r.cpu.Nanoseconds())/1e3 <= op.cpu)))
	}
	return strings.Join(aims, ", ")
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}

// middle is the result of the median round.
func middle(rs []opResult) opResult {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b opResult) int { return int(a.took - b.took) })
	r := rs[len(rs)/2]
	slices.SortFunc(rs, func(a, b opResult) int { return int(a.cpu - b.cpu) })
	r.cpu = rs[len(rs)/2].cpu
	return r
}

// short spells a rate with three digits or so.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0fk", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
