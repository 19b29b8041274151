package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A report gathers what was measured.
type report struct {
	machine  string
	versions []string
	options  options
	started  time.Time
	cells    []cell
	whole    []wholeRun
}

// A cell is one peer at one row.
type cell struct {
	w      workload
	peer   string
	rounds []measurement
	syncs  float64 // a message; 0 if not counted
}

func (r *report) cell(w workload, peer string) *cell {
	for i := range r.cells {
		if r.cells[i].w == w && r.cells[i].peer == peer {
			return &r.cells[i]
		}
	}
	r.cells = append(r.cells, cell{w: w, peer: peer})
	return &r.cells[len(r.cells)-1]
}

func (r *report) add(w workload, peer string, m measurement) {
	c := r.cell(w, peer)
	c.rounds = append(c.rounds, m)
}

func (r *report) addSyncs(w workload, peer string, n float64) { r.cell(w, peer).syncs = n }

// median of what f takes from each round.
func median[T cmp.Ordered](ms []measurement, f func(measurement) T) T {
	var v []T
	for _, m := range ms {
		v = append(v, f(m))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

const ours = "Posthouse"

// rows gives the table, its head first.
func (r *report) rows() [][]string {
	rows := [][]string{{"row", "server", "messages/s", "× peer", "CPU µs/message", "÷ peer", "client µs", "written/byte", "device/byte", "syncs/message", "p50", "p99"}}
	for _, w := range workloads {
		var mine *cell
		for i := range r.cells {
			if c := &r.cells[i]; c.w == w && c.peer == ours && len(c.rounds) > 0 {
				mine = c
			}
		}
		for i := range r.cells {
			if c := &r.cells[i]; c.w == w && len(c.rounds) > 0 {
				rows = append(rows, c.row(mine))
			}
		}
	}
	return rows
}

func rateOf(m measurement) float64      { return m.rate }
func cpuOf(m measurement) time.Duration { return m.cpu }

// row spells a cell, and, for a peer, how ours compares.
func (c *cell) row(mine *cell) []string {
	rate, cpu := median(c.rounds, rateOf), median(c.rounds, cpuOf)
	times, less, syncs := "", "", "–"
	if mine != nil && mine != c {
		times = fmt.Sprintf("%.1f", median(mine.rounds, rateOf)/rate)
		less = fmt.Sprintf("%.1f", float64(cpu)/float64(median(mine.rounds, cpuOf)))
	}
	if c.syncs > 0 {
		syncs = fmt.Sprintf("%.2f", c.syncs)
	}
	return []string{c.w.String(), c.peer, fmt.Sprintf("%.0f", rate), times, fmt.Sprint(cpu.Microseconds()), less,
		fmt.Sprint(median(c.rounds, func(m measurement) time.Duration { return m.client }).Microseconds()),
		fmt.Sprintf("%.2f", median(c.rounds, func(m measurement) float64 { return m.written })),
		fmt.Sprintf("%.2f", median(c.rounds, func(m measurement) float64 { return m.device })),
		syncs,
		median(c.rounds, func(m measurement) time.Duration { return m.p50 }).Round(10 * time.Microsecond).String(),
		median(c.rounds, func(m measurement) time.Duration { return m.p99 }).Round(10 * time.Microsecond).String()}
}

func (r *report) print(w io.Writer) {
	rows := r.rows()
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			width[i] = max(width[i], len([]rune(s)))
		}
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		for i, s := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(s)))
			if i < 2 {
				fmt.Fprint(w, s, pad, "  ")
			} else {
				fmt.Fprint(w, pad, s, "  ")
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	for _, x := range r.whole {
		fmt.Fprintln(w, x)
	}
}

func (x wholeRun) String() string {
	return fmt.Sprintf("%s from start to stop: %.1f MB of mail, %.2f bytes written per byte", x.name, float64(x.sent)/1e6, float64(x.written)/float64(max(x.sent, 1)))
}

const markdownHead = `# Benchmarks

Posthouse beside Debian's Dovecot (mdbox) and Postfix, on one machine, in alternating runs within one invocation.
This file is written by the command below.

* Date: %s
* Machine: %s, loopback; clients and servers share the CPUs
* Command: ` + "`%s`" + ` (%d rounds of %v for each cell; medians; messages of %d bytes)
%s
APPEND n: n IMAP connections, each of a user of its own, one APPEND with a LITERAL+ after the other. LMTP n, SMTP n: n
connections, MAIL, RCPT and DATA pipelined, one recipient a message, connections reused. An answer means durable; for
Postfix the time runs until its queue is empty, that is, until the mail is in the mailbox.

CPU is that of all processes of a server; "client" is that of the load generator, which shares the machine. "written" is
what the server's processes had written to storage per byte of mail, "device" what the disk saw, from anyone. "× peer": our
rate over the peer's; "÷ peer": the peer's CPU time over ours. Syncs are counted with strace in runs of their own. Rates of
durable writes depend on the disk and its other users: compare them within one invocation only.

`

func (r *report) markdown() string {
	var b strings.Builder
	versions := ""
	for _, v := range r.versions {
		versions += "* " + v + "\n"
	}
	fmt.Fprintf(&b, markdownHead, r.started.Format("2006-01-02"), r.machine, r.options.command, r.options.rounds, r.options.cell, r.options.size, versions)
	for i, row := range r.rows() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			b.WriteString("|---|---|" + strings.Repeat("--:|", len(row)-2) + "\n")
		}
	}
	b.WriteByte('\n')
	for _, x := range r.whole {
		fmt.Fprintf(&b, "* %s\n", x)
	}
	return b.String()
}
