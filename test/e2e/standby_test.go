package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestStandby kills a loaded server whose commits wait for a standby, promotes
// that, and wants every acknowledged change there, under the same UIDs.
func TestStandby(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	out := startSink(t)
	r := newRig(t, rigOptions{relay: out.addr})
	standby := filepath.Join(r.dir, "standby")
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.config, "%s\n[backup]\nstandby = %q\nwait = true\n", text, standby)
	var acked atomic.Int64
	var ledgers []*ledger
	for i := range 3 {
		l := newLedger(fmt.Sprintf("u%d@%s", i, r.domain), seed+uint64(i), &acked)
		r.addAccount(t, l.user)
		ledgers = append(ledgers, l)
	}
	r.start(t)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // polling, bounded
		b, _ := os.ReadFile(filepath.Join(standby, "store", "SHIPPED"))
		if string(b) == "synchronous\n" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the standby is never complete: %q", b)
		}
	}
	follow := exec.Command(binary, "standby", "follow", standby)
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	followed := make(chan error, 1)
	go func() { followed <- follow.Wait() }()
	t.Cleanup(func() { follow.Process.Kill() })
	for range 3 {
		wait := loadLedgers(t, r, ledgers)
		time.Sleep(300 * time.Millisecond) // load, not synchronisation
		r.kill(t)
		wait()
		r.start(t)
		verifyLedgers(t, r, ledgers, 0)
	}
	wait := loadLedgers(t, r, ledgers)
	time.Sleep(300 * time.Millisecond)
	r.kill(t)
	wait()
	if text := r.run(t, "", "standby", "promote", standby, "--yes"); !strings.Contains(text, "Everything") {
		t.Error(text)
	}
	select {
	case err := <-followed:
		if err != nil {
			t.Errorf("the follower: %v", err)
		}
	case <-time.After(patience):
		t.Error("the follower goes on")
	}
	writeFile(t, r.config, "%s", strings.ReplaceAll(string(text), filepath.Join(r.dir, "data"), standby))
	r.run(t, "", "check", "--deep")
	r.start(t)
	verifyLedgers(t, r, ledgers, 1)
	verifyRemote(t, out, ledgers)
	r.end(syscall.SIGTERM)
	t.Logf("%d acknowledged operations, all on the standby", acked.Load())
}
