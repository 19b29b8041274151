package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// mountSmall puts a small file system of its own under the rig's data.
func mountSmall(t *testing.T, r *rig, size string) {
	t.Helper()
	data := filepath.Join(r.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("this test needs to mount a tmpfs (root): %v", err)
	}
	t.Cleanup(func() {
		r.end(syscall.SIGKILL)
		if t.Failed() { // the disk goes: its files do not
			_ = os.Remove(filepath.Join(data, ballastFile))
			if err := os.CopyFS(filepath.Join(r.dir, "disk"), os.DirFS(data)); err != nil {
				t.Logf("the disk is not kept as a whole: %v", err)
			}
		}
		syscall.Unmount(data, syscall.MNT_DETACH)
	})
}

// ballastFile is what fills a disk.
const ballastFile = "ballast"

// fill writes a file until the disk is full, leaving a number of bytes.
func fill(t *testing.T, r *rig, leave int64) (free func()) {
	t.Helper()
	name := filepath.Join(r.dir, "data", ballastFile)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := io.Copy(f, zeroes{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if err := f.Truncate(max(0, n-leave)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestFullDisk: on a full disk mail is refused with 4xx and NO, all that is
// stored can be read, flags and expunges go on, nothing acknowledged is lost, and
// the server recovers without a hand as soon as there is space.
func TestFullDisk(t *testing.T) {
	r := newRigOn(t, rigOptions{more: "free_disk = \"8 MB\""}, func(r *rig) { mountSmall(t, r, "192m") })
	r.start(t)
	user := r.person(t, "ada")
	mx, err := dialSMTP(r.mx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { mx.Close() }()
	for i := range 5 {
		if err := mx.send("a@far.test", user, fmt.Appendf(nil, "Subject: %d\r\n\r\nkept\r\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	c := mustIMAP(t, r.imap, user, r.password)
	last := 0
	for _, leave := range []int64{4 << 20, 0} {
		free := fill(t, r, leave)
		last += wantRefusals(t, mx, c, user, leave)
		free()
		if _, err := mx.cmd("250", "RSET"); err != nil {
			t.Fatal(err)
		}
		if err := mx.send("a@far.test", user, []byte("Subject: after\r\n\r\nspace is back\r\n")); err != nil {
			t.Errorf("with %d bytes free before, and space again: %v", leave, err)
		}
	}
	free := fill(t, r, 0)
	r.kill(t)
	r.start(t)
	c = mustIMAP(t, r.imap, user, r.password)
	waitFor(t, c, "INBOX", "SUBJECT after", 2)
	free()
	if mx, err = dialSMTP(r.mx); err != nil {
		t.Fatal(err)
	}
	if err := mx.send("a@far.test", user, []byte("Subject: after\r\n\r\na restart\r\n")); err != nil {
		t.Error(err)
	}
	waitFor(t, c, "INBOX", "SUBJECT after", 3)
	waitFor(t, c, "INBOX", "SUBJECT last", last)
	waitFor(t, c, "INBOX", "ALL", 5-2+3+last)
	r.check(t)
}

// wantRefusals is the life on a full disk. What still fits into space that the
// store has already is taken, and counts; it returns how many of those there were.
func wantRefusals(t *testing.T, mx *smtpConn, c *imapConn, user string, leave int64) (taken int) {
	t.Helper()
	body := []byte("Subject: last\r\n\r\n" + strings.Repeat("hardly room for this line\r\n", 500))
	refused := func(what, code string, try func() error) {
		t.Helper()
		var no refusal
		err := try()
		for end := time.Now().Add(patience); err == nil && time.Now().Before(end); err = try() {
			taken++
		}
		if !errors.As(err, &no) || !strings.HasPrefix(string(no), code) {
			t.Errorf("with %d bytes free, %s said %v, want %s", leave, what, err, code)
		}
	}
	refused("SMTP", "4", func() error { return mx.send("a@far.test", user, body) })
	refused("APPEND", "NO", func() error { _, err := c.appendMessage("INBOX", "", body); return err })
	for _, cmd := range []string{"SELECT INBOX", "STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "FETCH 1:* (FLAGS BODY.PEEK[])"} {
		a, err := c.cmd("%s", cmd)
		if err != nil {
			t.Errorf("with %d bytes free, %s: %v", leave, cmd, err)
		}
		if strings.HasPrefix(cmd, "FETCH") && !strings.Contains(strings.Join(a.untagged, ""), "kept") {
			t.Errorf("with %d bytes free, FETCH gave %q", leave, a.untagged)
		}
	}
	return taken
}

// TestFullDiskLedger fills the disk under load, again and again, and kills the
// server in the middle of that: every acknowledged change is there exactly once,
// what was refused is not, and once there is space all is taken again.
func TestFullDiskLedger(t *testing.T) {
	rounds, size := 4, "256m"
	if os.Getenv("POSTHOUSE_LONG") != "" {
		rounds, size = 200, "2500m" // for some 8 MB a round
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	out := startSink(t)
	r := newRigOn(t, rigOptions{relay: out.addr, more: "free_disk = \"8 MB\"\nreap_after = 0"}, func(r *rig) { mountSmall(t, r, size) })
	var acked, refused atomic.Int64
	var ledgers []*ledger
	for i := range 2 {
		l := newLedger(fmt.Sprintf("u%d@%s", i, r.domain), seed+uint64(i), &acked)
		r.addAccount(t, l.user)
		ledgers = append(ledgers, l)
	}
	r.start(t)
	var steps []string
	step := func(format string, args ...any) {
		steps = append(steps, time.Now().UTC().Format(ledgerTime)+" "+fmt.Sprintf(format, args...))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what was done to the server:\n%s", strings.Join(steps[max(0, len(steps)-30):], "\n"))
		}
	})
	for n := range rounds {
		step("round %d: load", n)
		wait := loadLedgersThat(r, ledgers, func(refusal) bool {
			refused.Add(1)
			time.Sleep(time.Millisecond) // a client that tries again, not synchronisation
			return true
		})
		pause := func() { time.Sleep(time.Duration(20+rng.IntN(150)) * time.Millisecond) } // load, not synchronisation
		pause()
		before := refused.Load()
		leave := rng.Int64N(4) << 20
		step("fill the disk but for %d bytes", leave)
		free := fill(t, r, leave)
		for end := time.Now().Add(patience); refused.Load() == before; time.Sleep(time.Millisecond) { // polling, bounded
			if time.Now().After(end) {
				t.Fatal("nothing is refused on a full disk")
			}
		}
		pause()
		killed := rng.IntN(2) == 0
		if killed {
			step("kill, with the disk full")
			r.kill(t)
			wait()
			r.start(t)
			step("verify, with the disk full")
			verifyLedgers(t, r, ledgers, n)
			wait = func() {}
		}
		step("free the disk")
		free()
		pause()
		if !killed {
			step("kill, with space again")
			r.kill(t)
			wait()
			r.start(t)
		}
		step("verify")
		verifyLedgers(t, r, ledgers, n)
	}
	verifyRemote(t, out, ledgers)
	r.check(t)
	t.Logf("%d rounds, %d acknowledged operations, all there; %d refused", rounds, acked.Load(), refused.Load())
}
