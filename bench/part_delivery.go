package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// quickRows are what -quick runs.
var quickRows = regexp.MustCompile(`^(APPEND (1|10|100)|MULTIAPPEND 1|LMTP (1|50)|SMTP 10|MX, SPF DKIM DMARC 50|submission to sink 50)$`)

// wants reports whether a row is to be run.
func (b *benchmark) wants(w workload) bool {
	return b.only.MatchString(w.String()) && (!b.quick || quickRows.MatchString(w.String()))
}

// deliveryNotes say how the part "delivery" was measured.
var deliveryNotes = []string{
	`APPEND n: n IMAP connections, each of a user of its own, one APPEND with a LITERAL+ after the other; samebox: all into one
mailbox; MULTIAPPEND: 50 messages a command. LMTP n, SMTP n: n connections, MAIL, RCPT and DATA pipelined, one recipient a
message, connections reused. An answer means durable; for Postfix the time runs until its queue is empty, that is, until the
mail is in the mailbox.`,
	`MX: as SMTP 50, with SPF, DMARC and, where the message is signed (RSA of 2048 bits, as most mail), DKIM checked by Posthouse;
DNS answers from its cache after the first message. Postfix takes the same messages and checks nothing of them. smtp-source:
the load is made by Postfix's smtp-source, a connection for each message. submission to sink: people log in and send to one
server elsewhere, a sink in the load generator. Posthouse signs each message with RSA-2048 and Ed25519, opendkim for Postfix with
RSA-2048, unless the row says unsigned. The time runs until the sink has all.`,
	`A queue with a million messages: POSTHOUSE_LONG=1 go test -run TestMillion -v ./queue. On 2026-11-23 it took in and sent 3,099
messages a second with an empty queue and 3,140 with a million waiting in it, which cost 115 MB and 3.5 s at the start.`,
	deliveryReasons,
	`"client" is the CPU time of the load generator, which shares the machine. "written" is what the server's processes had
written to storage per byte of mail, "device" what the disk saw, from anyone. p50 and p99 are of one command's answer. Syncs
are counted with strace in runs of their own.`,
}

// deliveryReasons says why rows miss their aims, as profiles show; it is as old as the
// figures that were looked at.
const deliveryReasons = `Why rows miss their aim, from profiles (perf, 2026-11-23). The rates: the load generator and the server share two
processors, so a rate of 10,000 leaves 200 µs to both, 20,000 leaves 100; the generator takes 30 to 50 of them. LMTP 50, of the
server's time: 14 % reading and writing sockets (two replies and two reads a message, as the protocol wants), 10 % writing and
syncing the log, 16 % inserting into the index and 4 % flushing it, 10 % Go's scheduler and its monitor, which wakes every 20 µs
while syncs block threads, 8 % memory and its collection; the other 38 % are the message: parsing it, its records, envelope and
trace. MX with DKIM: beside that, the RSA verification takes 15 % (35 µs, of which 11 prepare the modulus anew each time, which
crypto/rsa keeps for nobody; OpenSSL with AVX-512 takes 16), canonical form and digest of body and header 11 %; SPF and DMARC from
the cache 3 %. Submission, signed: 73 % is one RSA-2048 signature, 0.98 ms of a processor with Go's crypto/rsa (CRT, keys parsed once;
the Ed25519 one takes 1.5 %, the digest of the body is made once), so two processors make 2,000 a second at most, whatever the
rest costs, and 1,300 with it; three times Postfix, which signs nothing, are 1,460. OpenSSL with AVX-512 takes 0.25 ms. 5,000 a
second need five processors. Unsigned has no aim of its own and shows what the rest costs. A connection sends its next message
when the result of the last one is durable: what was sent is never sent again but for the last on a connection. Written per byte, one
connection: each commit ends within a block of 4 KB, which the next one writes again; with ten connections three or four
messages share it. MX with checks: the verdicts stand in the message, in its record and in the trace.`

// A deliveryAim is what a row is to reach; zero fields are no aim.
type deliveryAim struct {
	rate    float64       // messages a second
	cpu     time.Duration // of the server, at most
	written float64       // bytes per byte, at most
	times   float64       // the rate of the first peer
}

// deliveryAims by row.
var deliveryAims = map[workload]deliveryAim{
	{imapAppend, 1}: {written: 1.3}, {imapAppend, 10}: {written: 1.3}, {imapAppend, 100}: {written: 1.3},
	{lmtpDeliver, 1}: {written: 1.3}, {lmtpDeliver, 10}: {written: 1.3}, {lmtpDeliver, 100}: {written: 1.3},
	{lmtpDeliver, 50}: {rate: 20_000, cpu: 120 * time.Microsecond, written: 1.3, times: 10},
	{smtpDeliver, 1}:  {written: 1.3}, {smtpDeliver, 10}: {written: 1.3}, {smtpDeliver, 100}: {written: 1.3},
	{mxSigned, 50}:   {rate: 10_000, cpu: 120 * time.Microsecond, times: 10},
	{mxUnsigned, 50}: {rate: 20_000, cpu: 120 * time.Microsecond, times: 10},
	{relay, 50}:      {rate: 5000, times: 3},
}

// judge says what the aim of our row is, and whether it is met.
func (a deliveryAim) judge(mine, peer *deliveryCell) string {
	var aims []string
	rate, cpu := median(mine.rounds, rateOf), median(mine.rounds, cpuOf)
	if a.rate > 0 {
		aims = append(aims, short(a.rate)+"/s "+met(rate >= a.rate))
	}
	if a.cpu > 0 {
		aims = append(aims, fmt.Sprintf("%d µs %s", a.cpu.Microseconds(), met(cpu <= a.cpu)))
	}
	if a.times > 0 && peer != nil {
		aims = append(aims, fmt.Sprintf("%g × %s", a.times, met(rate >= a.times*median(peer.rounds, rateOf))))
	}
	if a.written > 0 {
		aims = append(aims, fmt.Sprintf("%g written %s", a.written, met(median(mine.rounds, writtenOf) <= a.written)))
	}
	return strings.Join(aims, ", ")
}

// A deliveryCell is one peer at one row.
type deliveryCell struct {
	w      workload
	peer   *peer
	rounds []measurement
	syncs  float64 // a message; 0 if not counted
}

// runDelivery is the part "delivery": durable mail by each way in.
func runDelivery(ctx context.Context, b *benchmark) (table, error) {
	t := table{head: []string{"row", "server", "messages/s", "× peer", "CPU µs/message", "÷ peer", "client µs", "written/byte", "device/byte", "syncs/message", "p50", "p99", "aim"},
		notes: deliveryNotes}
	if err := b.start(ctx, "posthouse", "dovecot", "cyrus", "postfix"); err != nil {
		return t, err
	}
	t.facts = append(b.versions(), fmt.Sprintf("Messages of %d bytes", b.size))
	if err := b.startTransfer(ctx); err != nil {
		return t, err
	}
	for _, w := range workloads {
		if !b.wants(w) {
			continue
		}
		cells, err := b.deliver(ctx, w)
		if err != nil {
			return t, err
		}
		for i, c := range cells {
			aim := ""
			if i == 0 && c.peer.name == ours {
				var peer *deliveryCell
				if len(cells) > 1 {
					peer = cells[1]
				}
				aim = deliveryAims[w].judge(c, peer)
			}
			t.rows = append(t.rows, append(c.row(cells[0]), aim))
		}
	}
	for _, p := range b.peers { // what they still write counts too
		if err := p.end(); err != nil {
			return t, err
		}
		if p.sent.Load() > 0 && !p.special() {
			t.facts = append(t.facts, p.wholeRun())
		}
	}
	return t, nil
}

// deliver lets each peer work at one row, one after the other; who begins changes
// from round to round. Ours comes first in the result.
func (b *benchmark) deliver(ctx context.Context, w workload) ([]*deliveryCell, error) {
	var cells []*deliveryCell
	for _, p := range b.peers {
		if p.serves(w) {
			cells = append(cells, &deliveryCell{w: w, peer: p})
		}
	}
	slices.SortStableFunc(cells, func(x, y *deliveryCell) int { return cmp.Compare(b2i(x.peer.name != ours), b2i(y.peer.name != ours)) })
	for round := range b.rounds {
		for i := range cells {
			c := cells[(i+round)%len(cells)]
			m, err := measure(ctx, c.peer, w, b.size, b.cell)
			if err != nil {
				return nil, fmt.Errorf("%s at %s: %w", w, c.peer.name, err)
			}
			c.rounds = append(c.rounds, m)
			fmt.Printf("round %d  %-17s %-16s %s\n", round+1, w, c.peer.name, m)
		}
	}
	for _, c := range cells {
		if !b.syncs || w.conns != 1 && w.conns != 10 {
			continue
		}
		var err error
		if c.syncs, err = countSyncs(ctx, c.peer, w, b.size); err != nil {
			fmt.Printf("syncs    %-17s %-16s not counted: %v\n", w, c.peer.name, err)
		}
	}
	return cells, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func rateOf(m measurement) float64      { return m.rate }
func cpuOf(m measurement) time.Duration { return m.cpu }
func writtenOf(m measurement) float64   { return m.written }

// row spells a cell, and, for a peer, how ours compares.
func (c *deliveryCell) row(mine *deliveryCell) []string {
	rate, cpu := median(c.rounds, rateOf), median(c.rounds, cpuOf)
	times, less, syncs := "", "", "–"
	if mine.peer.name == ours && mine != c {
		times = fmt.Sprintf("%.1f", median(mine.rounds, rateOf)/rate)
		less = fmt.Sprintf("%.1f", float64(cpu)/float64(median(mine.rounds, cpuOf)))
	}
	if c.syncs > 0 {
		syncs = fmt.Sprintf("%.2f", c.syncs)
	}
	return []string{c.w.String(), c.peer.name, fmt.Sprintf("%.0f", rate), times, fmt.Sprint(cpu.Microseconds()), less,
		fmt.Sprint(median(c.rounds, func(m measurement) time.Duration { return m.client }).Microseconds()),
		fmt.Sprintf("%.2f", median(c.rounds, writtenOf)),
		fmt.Sprintf("%.2f", median(c.rounds, func(m measurement) float64 { return m.device })),
		syncs,
		median(c.rounds, func(m measurement) time.Duration { return m.p50 }).Round(10 * time.Microsecond).String(),
		median(c.rounds, func(m measurement) time.Duration { return m.p99 }).Round(10 * time.Microsecond).String()}
}
