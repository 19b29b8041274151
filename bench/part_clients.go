package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runClients is the part "clients": what idle connections cost, how fast they
// hear of new mail, and a real client's synchronisation.
func runClients(ctx context.Context, b *benchmark) (table, error) {
	t := table{head: []string{"row", "server", "result", "× peer", "CPU of the server", "÷ peer", "aim"}}
	t.notes = []string{fmt.Sprintf(`Idle: %d connections (%d to Posthouse), each logged in, INBOX selected, in IDLE: memory (PSS of all processes of the server, without what it
had before) for each, and how many are set up a second by one client. Push: from the answer to an APPEND until another connection in IDLE, of %[1]d, has
read the EXISTS; a server may tell it before it answers. mbsync: a mailbox of %[3]d messages into a Maildir, FSync off, and again when nothing changed.
mbsync compresses with a server that offers it, which Dovecot as it is configured here does not: of a profile of our first synchronisation that was three
fifths, until what goes to a client on the same machine was stored instead (unless it reads less than half a megabyte a second). What is left is one
command and one message at a time: waking up, a lookup of the record and of the place, a read, a write.`, b.idle, oursMore*b.idle, b.synced())}
	if err := b.start(ctx, "posthouse", "dovecot", "cyrus"); err != nil {
		return t, err
	}
	t.facts = b.versions()
	for _, row := range clientRows {
		if !b.only.MatchString(row.name) {
			continue
		}
		var mine clientResult
		for i, p := range b.peers {
			r, err := row.run(ctx, b, p)
			if ctx.Err() != nil {
				return t, ctx.Err()
			}
			if err != nil {
				fmt.Printf("%-30s %-10s %v\n", row.name, p.name, err)
				t.rows = append(t.rows, []string{row.name, p.name, "–", "", "–", "", ""})
				continue
			}
			if i == 0 {
				mine = r
			}
			t.rows = append(t.rows, row.spell(p, r, mine))
			fmt.Println(strings.Join(t.rows[len(t.rows)-1], "  "))
		}
	}
	return t, nil
}

// A clientResult is one server at one row: less is better, unless it is a rate.
type clientResult struct {
	value float64
	text  string
	cpu   time.Duration
}

// A clientRow is a row of the part.
type clientRow struct {
	name string
	aim  string
	rate bool // more is better
	run  func(ctx context.Context, b *benchmark, p *peer) (clientResult, error)
}

var clientRows = []clientRow{
	{"idle, plain", "≤ 10 KB", false, func(ctx context.Context, b *benchmark, p *peer) (clientResult, error) {
		return measureIdle(ctx, p, b.idle, false)
	}},
	{"idle, TLS", "≤ 24 KB", false, func(ctx context.Context, b *benchmark, p *peer) (clientResult, error) {
		return measureIdle(ctx, p, b.idle, true)
	}},
	{"LOGIN, SELECT, IDLE", "5,000/s, ≤ 200 µs", true, measureSetup},
	{"push", "p50 ≤ 1 ms, p95 ≤ 5 ms", false, measurePush},
	{"mbsync, first", "≤ 1.05 s, CPU ≤ 0.25 s", false, func(ctx context.Context, b *benchmark, p *peer) (clientResult, error) {
		return measureSync(ctx, b, p, true)
	}},
	{"mbsync, again", "≤ 0.2 s, CPU ≤ 0.02 s", false, func(ctx context.Context, b *benchmark, p *peer) (clientResult, error) {
		return measureSync(ctx, b, p, false)
	}},
}

func (row clientRow) spell(p *peer, r, mine clientResult) []string {
	out := []string{row.name, p.name, r.text, "", "", "", ""}
	if r.cpu > 0 {
		out[4] = r.cpu.Round(10 * time.Microsecond).String()
	}
	if p.name == ours {
		out[6] = row.aim
		return out
	}
	if mine.value > 0 && r.value > 0 {
		times := r.value / mine.value
		if row.rate {
			times = 1 / times
		}
		out[3] = fmt.Sprintf("%.2g", times)
	}
	if mine.cpu > 0 && r.cpu > 0 {
		out[5] = fmt.Sprintf("%.2g", float64(r.cpu)/float64(mine.cpu))
	}
	return out
}

// idlers opens n connections that wait in IDLE, for the users from 20 on.
func idlers(ctx context.Context, p *peer, n int, secure bool) ([]*session, error) {
	var all []*session
	for i := range n {
		s, err := dialIMAP(p, 20+i%60, secure)
		if err == nil {
			s.buf, s.held = make([]byte, 8<<10), nil
			all = append(all, s)
			err = s.idle()
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return all, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return all, nil
}

// idle selects INBOX and begins IDLE.
func (s *session) idle() error {
	if _, err := s.do("SELECT INBOX"); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s, "%s IDLE\r\n", s.tag); err != nil {
		return err
	}
	return s.await("+ ")
}

// await reads until a text stands in what came, and forgets it.
func (s *session) await(text string) error {
	s.SetDeadline(time.Now().Add(timeout))
	for !bytes.Contains(s.held, []byte(text)) {
		if len(s.held) == len(s.buf) {
			s.held = s.held[:0]
		}
		copy(s.buf, s.held)
		n, err := s.Read(s.buf[len(s.held):])
		if err != nil {
			return err
		}
		s.held = s.buf[:len(s.held)+n]
	}
	s.held = nil
	return nil
}

func closeSessions(all []*session) {
	for _, s := range all {
		s.Conn.Close()
	}
}

// oursMore is how many times more idle connections we hold than others, who have a
// process for each: so many that what one process keeps in reserve does not count.
const oursMore = 10

func measureIdle(ctx context.Context, p *peer, n int, secure bool) (r clientResult, err error) {
	if p.restart != nil { // what the rows before left is not the connections'
		if err := p.restart(ctx); err != nil {
			return r, err
		}
	}
	warm, err := idlers(ctx, p, 60, secure) // passwords are verified
	closeSessions(warm)
	if err != nil {
		return r, err
	}
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return r, ctx.Err()
	}
	before, err := memoryOf(p.roots())
	if err != nil {
		return r, err
	}
	if p.name == ours {
		n *= oursMore
	}
	all, err := idlers(ctx, p, n, secure)
	defer closeSessions(all)
	if err != nil {
		return r, err
	}
	select {
	case <-time.After(5 * time.Second): // what a server frees when nothing happens is its merit
	case <-ctx.Done():
		return r, ctx.Err()
	}
	after, err := memoryOf(p.roots())
	r.value = float64(after-before) / float64(n) / 1024
	r.text = fmt.Sprintf("%.1f KB", r.value)
	return r, err
}

func measureSetup(ctx context.Context, b *benchmark, p *peer) (r clientResult, err error) {
	before, err := readUsage(p.roots())
	if err != nil {
		return r, err
	}
	start := time.Now()
	all, err := idlers(ctx, p, b.idle, false)
	took := time.Since(start)
	defer closeSessions(all)
	if err != nil {
		return r, err
	}
	after, err := readUsage(p.roots())
	r.value = float64(b.idle) / took.Seconds()
	r.text = fmt.Sprintf("%.0f /s", r.value)
	r.cpu = (after.cpu - before.cpu) / time.Duration(b.idle)
	return r, err
}

// pushes is how many messages measurePush sends.
const pushes = 100

func measurePush(ctx context.Context, b *benchmark, p *peer) (r clientResult, err error) {
	all, err := idlers(ctx, p, b.idle, false)
	defer closeSessions(all)
	if err != nil {
		return r, err
	}
	sender, err := dialIMAP(p, 20, false) // the user of the first of them
	if err != nil {
		return r, err
	}
	defer sender.close()
	text, _ := message(2000, "sender@client.example", p.user(20))
	command := append(fmt.Appendf(nil, "APPEND INBOX {%d+}\r\n", len(text)), text...)
	var waits []time.Duration
	for range pushes {
		heard := make(chan time.Time, 1)
		failed := make(chan error, 1)
		go func() {
			err := all[0].await(" EXISTS\r\n")
			heard <- time.Now()
			failed <- err
		}()
		if _, err := sender.exchange(command, nil); err != nil {
			return r, err
		}
		answered := time.Now()
		at := <-heard
		if err := <-failed; err != nil {
			return r, err
		}
		waits = append(waits, max(0, at.Sub(answered)))
		time.Sleep(20 * time.Millisecond) // one after the other
	}
	slices.Sort(waits)
	p50, p95 := waits[len(waits)/2], waits[len(waits)*95/100]
	r.value = float64(p50)
	r.text = fmt.Sprintf("p50 %v, p95 %v", p50.Round(10*time.Microsecond), p95.Round(10*time.Microsecond))
	return r, nil
}

// synced is how many messages mbsync fetches.
func (b *benchmark) synced() int { return min(b.messages, 20_000) }

// syncUser is whose mailbox mbsync fetches.
const syncUser = 2

const mbsyncConf = `IMAPAccount a
Host 127.0.0.1
Port PORT
User "USER"
Pass PASS
SSLType None
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path DIR/
Inbox DIR/inbox
Flatten .

Channel c
Far :far:
Near :near:
Patterns INBOX
Create Near
SyncState *
`

func measureSync(ctx context.Context, b *benchmark, p *peer, firstTime bool) (r clientResult, err error) {
	dir := filepath.Join(p.dir, "mbsync")
	conf := dir + ".conf"
	if firstTime {
		if err := loadMailbox(ctx, p, syncUser, b.synced()); err != nil {
			return r, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return r, err
		}
		host := strings.TrimPrefix(p.addrs[imapAppend], "127.0.0.1:")
		password := p.password
		if !strings.HasPrefix(password, `"`) {
			password = `"` + password + `"`
		}
		text := strings.NewReplacer("PORT", host, "USER", p.user(syncUser), "PASS", password, "DIR", dir).Replace(mbsyncConf)
		if err := os.WriteFile(conf, []byte("FSync no\n\n"+text), 0o600); err != nil {
			return r, err
		}
	}
	before, err := readUsage(p.roots())
	if err != nil {
		return r, err
	}
	start := time.Now()
	if out, err := exec.CommandContext(ctx, "mbsync", "-q", "-c", conf, "c").CombinedOutput(); err != nil {
		return r, fmt.Errorf("mbsync: %w\n%s", err, out)
	}
	took := time.Since(start)
	after, err := readUsage(p.roots())
	r.value, r.cpu = took.Seconds(), after.cpu-before.cpu
	r.text = fmt.Sprintf("%.2f s", r.value)
	return r, err
}
