// Command bench measures Posthouse beside Debian's Dovecot and Postfix on this
// machine, in alternating runs within one invocation: durable APPEND over IMAP,
// LMTP delivery, SMTP delivery into the mailbox.
//
// For each it gives messages per second, the server's CPU time per message (all
// processes of its tree), bytes written per byte of mail and syncs per message.
// Wall-clock rates on a shared machine differ between minutes, CPU time does not:
// compare rates within one invocation only.
//
//	go run ./bench -quick                     # about a minute
//	go run ./bench -md docs/benchmarks.md     # about ten minutes
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

type options struct {
	quick   bool
	rounds  int
	cell    time.Duration
	size    int
	dir     string
	md      string
	only    *regexp.Regexp
	peers   string
	syncs   bool
	command string
}

// quickRows are what -quick runs.
var quickRows = regexp.MustCompile(`^(APPEND (1|10|100)|LMTP (1|50)|SMTP 10)$`)

// wants reports whether a row is to be run.
func (o options) wants(w workload) bool {
	return o.only.MatchString(w.String()) && (!o.quick || quickRows.MatchString(w.String()))
}

func main() {
	o := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags() options {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "one short round of the most telling rows, about a minute")
	flag.IntVar(&o.rounds, "rounds", 3, "alternating rounds; results are medians over them")
	flag.DurationVar(&o.cell, "time", 5*time.Second, "how long each peer works at each row in each round")
	flag.IntVar(&o.size, "size", 8192, "bytes of a message")
	flag.StringVar(&o.dir, "dir", "", "where servers keep mail; a new directory in /var/tmp if empty")
	flag.StringVar(&o.md, "md", "", "also write the results to this Markdown `file`")
	only := flag.String("only", ".", "rows to run, as a `regexp` over names such as \"APPEND 10\"")
	flag.StringVar(&o.peers, "peers", "posthouse,dovecot,postfix", "who takes part")
	flag.BoolVar(&o.syncs, "syncs", true, "count syncs with strace in short runs of their own")
	flag.Parse()
	if o.quick {
		o.rounds, o.cell = 1, 700*time.Millisecond
	}
	re, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	o.only = re
	o.command = "go run ./bench " + strings.Join(os.Args[1:], " ")
	return o
}

func run(ctx context.Context, o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("/var/tmp", "ph-bench"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
		if err := os.Chmod(o.dir, 0o755); err != nil { // servers work as users of their own
			return err
		}
	}
	machine := describeMachine(o.dir)
	fmt.Println(machine)
	peers, err := startPeers(ctx, o)
	defer func() { err = errors.Join(err, stopPeers(peers)) }()
	if err != nil {
		return err
	}
	rep := report{machine: machine, options: o, started: time.Now()}
	for _, p := range peers {
		rep.versions = append(rep.versions, p.version)
	}
	for round := range o.rounds {
		for _, w := range workloads {
			if !o.wants(w) {
				continue
			}
			if err := runRow(ctx, o, round, w, peers, &rep); err != nil {
				return err
			}
		}
	}
	if o.syncs {
		countAllSyncs(ctx, o, peers, &rep)
	}
	for _, p := range peers { // what they still write counts too
		if err := p.end(); err != nil {
			return err
		}
		rep.whole = append(rep.whole, p.wholeRun())
	}
	rep.print(os.Stdout)
	if o.md != "" {
		return os.WriteFile(o.md, []byte(rep.markdown()), 0o644)
	}
	return nil
}

// runRow lets each peer work at one row, one after the other; who begins changes
// from round to round.
func runRow(ctx context.Context, o options, round int, w workload, peers []*peer, rep *report) error {
	for i := range peers {
		p := peers[(i+round)%len(peers)]
		if !p.serves(w) {
			continue
		}
		m, err := measure(ctx, p, w, o.size, o.cell)
		if err != nil {
			return fmt.Errorf("%s at %s: %w", w, p.name, err)
		}
		rep.add(w, p.name, m)
		fmt.Printf("round %d  %-12s %-28s %s\n", round+1, w, p.name, m)
	}
	return nil
}

func countAllSyncs(ctx context.Context, o options, peers []*peer, rep *report) {
	for _, w := range workloads {
		if !o.wants(w) || w.conns != 1 && w.conns != 10 {
			continue
		}
		for _, p := range peers {
			if !p.serves(w) {
				continue
			}
			n, err := countSyncs(ctx, p, w, o.size)
			if err != nil {
				fmt.Printf("syncs    %-12s %-28s not counted: %v\n", w, p.name, err)
				continue
			}
			rep.addSyncs(w, p.name, n)
			fmt.Printf("syncs    %-12s %-28s %.2f per message\n", w, p.name, n)
		}
	}
}

// startPeers starts those of -peers that this machine has.
func startPeers(ctx context.Context, o options) ([]*peer, error) {
	var peers []*peer
	for name := range strings.SplitSeq(o.peers, ",") {
		start, ok := starters[name]
		if !ok {
			return peers, fmt.Errorf("-peers: no peer %q: posthouse, dovecot, postfix", name)
		}
		dir := filepath.Join(o.dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return peers, err
		}
		p, err := start(ctx, dir)
		if errors.Is(err, errAbsent) {
			fmt.Printf("%s does not take part: %v\n", name, err)
			continue
		}
		if err != nil {
			return peers, fmt.Errorf("%s: %w", name, err)
		}
		peers = append(peers, p)
	}
	return peers, nil
}

func stopPeers(peers []*peer) error {
	var errs []error
	for _, p := range peers {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}
