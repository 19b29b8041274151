// Command bench measures Posthouse beside Debian's Dovecot, Cyrus and Postfix on
// this machine, in alternating runs within one invocation. Its parts:
//
//	delivery  durable APPEND over IMAP, LMTP, SMTP into the mailbox
//	imap      commands on a mailbox of many messages, and on many mailboxes
//	clients   idle connections, push, mbsync
//	store     the store's own API, without peers
//
// For each row it gives rates and the server's CPU time (of all processes of its
// tree). Wall-clock rates on a shared machine differ between minutes, CPU time
// does not: compare rates within one invocation only.
//
//	go run ./bench -quick                     # about two minutes
//	go run ./bench -md docs/benchmarks.md     # about half an hour
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
	"slices"
	"strings"
	"syscall"
	"time"
)

// A benchmark is one invocation.
type benchmark struct {
	quick    bool
	rounds   int
	cell     time.Duration
	size     int
	messages int
	idle     int
	base     string // where servers keep mail
	md       string
	only     *regexp.Regexp
	parts    []string
	who      []string
	syncs    bool
	command  string

	peers []*peer // of the part that runs
}

// A part measures one side of the matter.
type part struct {
	name, title string
	run         func(ctx context.Context, b *benchmark) (table, error)
}

var parts = []part{
	{"delivery", "Delivery", runDelivery},
	{"imap", "IMAP commands", runIMAP},
	{"clients", "Idle connections, push and synchronisation", runClients},
	{"store", "The store", runStore},
}

func main() {
	if dir := os.Getenv(fillEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "bench:", fillForever(context.Background(), dir))
		os.Exit(1)
	}
	if dir := os.Getenv(manyEnv); dir != "" {
		if err := fillMany(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	b := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags() *benchmark {
	var b benchmark
	flag.BoolVar(&b.quick, "quick", false, "one short round of the most telling rows, about two minutes")
	flag.IntVar(&b.rounds, "rounds", 3, "alternating rounds; results are medians over them")
	flag.DurationVar(&b.cell, "time", 2*time.Second, "how long each peer works at each row in each round")
	flag.IntVar(&b.size, "size", 8192, "bytes of a message that is delivered")
	flag.IntVar(&b.messages, "messages", 100_000, "messages in the large mailbox")
	flag.IntVar(&b.idle, "idle", 1000, "idle connections")
	flag.StringVar(&b.base, "dir", "", "where servers keep mail; a new directory in /var/tmp if empty")
	flag.StringVar(&b.md, "md", "", "also write the results to this Markdown `file`, in place of the same parts there")
	only := flag.String("only", ".", "rows to run, as a `regexp` over their names, such as \"APPEND 10\"")
	which := flag.String("part", "delivery,imap,clients,store", "parts to run")
	who := flag.String("peers", "posthouse,dovecot,cyrus,postfix", "who takes part")
	flag.BoolVar(&b.syncs, "syncs", true, "count syncs with strace in short runs of their own")
	flag.Parse()
	if b.quick {
		b.rounds, b.cell, b.messages, b.idle = 1, 700*time.Millisecond, 10_000, 200
	}
	re, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: -only:", err)
		os.Exit(2)
	}
	b.only, b.parts, b.who = re, strings.Split(*which, ","), strings.Split(*who, ",")
	b.command = "go run ./bench " + strings.Join(os.Args[1:], " ")
	return &b
}

func (b *benchmark) run(ctx context.Context) (err error) {
	if b.base == "" {
		if b.base, err = os.MkdirTemp("/var/tmp", "ph-bench"); err != nil {
			return err
		}
		defer os.RemoveAll(b.base)
		if err := os.Chmod(b.base, 0o755); err != nil { // servers work as users of their own
			return err
		}
	}
	if err := manyFiles(); err != nil {
		return err
	}
	machine := describeMachine(b.base)
	fmt.Println(machine)
	for _, p := range parts {
		if !slices.Contains(b.parts, p.name) {
			continue
		}
		began := time.Now()
		t, err := p.run(ctx, b)
		if err = errors.Join(err, b.stop()); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		t.print(os.Stdout)
		if b.md == "" {
			continue
		}
		if err := t.write(b.md, p, b.about(began, machine)); err != nil {
			return err
		}
	}
	return nil
}

// about says when, where and how a part was measured.
func (b *benchmark) about(began time.Time, machine string) []string {
	return []string{"Date: " + began.Format("2006-01-02"), "Machine: " + machine + ", loopback; clients and servers share the CPUs",
		fmt.Sprintf("Command: `%s` (%d rounds of %v for each cell; medians)", b.command, b.rounds, b.cell)}
}

// manyFiles lets this process and its children have as many connections as they may.
func manyFiles() error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	r.Cur = r.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}

// start starts those of names that are wanted and that this machine has.
func (b *benchmark) start(ctx context.Context, names ...string) error {
	for _, name := range names {
		if !slices.Contains(b.who, name) {
			continue
		}
		if err := b.launch(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// launch starts one of starters, if this machine has it.
func (b *benchmark) launch(ctx context.Context, name string) error {
	dir, err := os.MkdirTemp(b.base, name[:2])
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	p, err := starters[name](ctx, filepath.Clean(dir))
	if errors.Is(err, errAbsent) {
		fmt.Printf("%s does not take part: %v\n", name, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.peers = append(b.peers, p)
	return nil
}

// stop ends the peers of a part, and removes what they kept.
func (b *benchmark) stop() error {
	var errs []error
	for _, p := range b.peers {
		errs = append(errs, p.end(), os.RemoveAll(p.dir))
	}
	b.peers = nil
	return errors.Join(errs...)
}

// versions names the peers that took part.
func (b *benchmark) versions() []string {
	var all []string
	for _, p := range b.peers {
		all = append(all, p.version)
	}
	return all
}
