package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"posthouse/internal/s3/s3test"
)

// TestStandby kills a loaded server whose commits wait for a standby, promotes
// that, and wants every acknowledged change there, under the same UIDs.
func TestStandby(t *testing.T) {
	for _, form := range []string{"directory", "bucket"} {
		t.Run(form, func(t *testing.T) { takeOver(t, form == "bucket") })
	}
}

// standbyIn returns the place of a standby, what the configuration says of it, and
// what it says of commits that wait.
func standbyIn(t *testing.T, r *rig, standby string, bucket bool) (place, text string, mode func() string) {
	if !bucket {
		return standby, "", func() string {
			b, _ := os.ReadFile(filepath.Join(standby, "store", "SHIPPED"))
			return string(b)
		}
	}
	s := s3test.New(t)
	secret := filepath.Join(r.dir, "s3.secret")
	writeFile(t, secret, "%s\n", s.Client.Secret)
	text = fmt.Sprintf("\n[s3]\nendpoint = %q\nregion = %q\nkey = %q\nsecret_file = %q\n", s.Client.Endpoint, s.Client.Region, s.Client.Key, secret)
	return "s3://" + s.Client.Bucket + "/standby", text, func() string { return string(s.Objects()["standby/store/SHIPPED"]) }
}

func takeOver(t *testing.T, bucket bool) {
	seed := uint64(time.Now().UnixNano())
	out := startSink(t)
	r := newRig(t, rigOptions{relay: out.addr})
	standby := filepath.Join(r.dir, "standby")
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	place, section, mode := standbyIn(t, r, standby, bucket)
	text = append(text, section...)
	writeFile(t, r.config, "%s\n[backup]\nstandby = %q\nwait = true\n", text, place)
	var acked atomic.Int64
	var ledgers []*ledger
	for i := range 3 {
		l := newLedger(fmt.Sprintf("u%d@%s", i, r.domain), seed+uint64(i), &acked)
		r.addAccount(t, l.user)
		ledgers = append(ledgers, l)
	}
	r.start(t)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // polling, bounded
		if mode() == "synchronous\n" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the standby is never complete: %q", mode())
		}
	}
	follow := exec.Command(binary, "--config", r.config, "standby", "follow", standby)
	if bucket {
		follow.Args = append(follow.Args, "--from", place)
	}
	follow.Stderr = os.Stderr
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
	if bucket {
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // polling, bounded
			if _, err := os.Stat(filepath.Join(standby, "store", "FORMAT")); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the copy is never complete")
			}
		}
	}
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

// TestStandbyBehind kills a loaded server that does not wait for its standby.
// What was acknowledged before the standby's last change, as posthouse standby
// status says, is there after the promotion; and a backup with the standby's log
// leads to a moment before that.
func TestStandbyBehind(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	out := startSink(t)
	r := newRig(t, rigOptions{relay: out.addr})
	standby, backups := filepath.Join(r.dir, "standby"), filepath.Join(r.dir, "backups")
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, r.config, "%s\n[backup]\nstandby = %q\nkeep = \"1d\"\n", text, standby)
	var acked atomic.Int64
	var ledgers []*ledger
	for i := range 3 {
		l := newLedger(fmt.Sprintf("u%d@%s", i, r.domain), seed+uint64(i), &acked)
		r.addAccount(t, l.user)
		ledgers = append(ledgers, l)
	}
	r.start(t)
	var st struct {
		Complete    bool
		Synchronous bool
		Position    uint64
		At          time.Time
	}
	status := func() {
		if err := json.Unmarshal([]byte(r.run(t, "", "standby", "status", standby, "--json")), &st); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); !st.Complete; time.Sleep(5 * time.Millisecond) { // polling, bounded
		if _, err := os.Stat(filepath.Join(standby, "store", "FORMAT")); err == nil {
			status()
		}
		if time.Now().After(end) {
			t.Fatal("the standby is never complete")
		}
	}
	r.run(t, "", "backup", "create", backups)
	wait := loadLedgers(t, r, ledgers)
	type moment struct {
		at    time.Time
		pages []page
	}
	var moments []moment
	take := func() {
		m := moment{at: time.Now()}
		for _, l := range ledgers {
			m.pages = append(m.pages, l.page())
		}
		moments = append(moments, m)
	}
	enough, end := 0, time.Now().Add(patience)
	for rounds := 0; rounds < enough+20; rounds++ {
		take()
		time.Sleep(25 * time.Millisecond) // load, not synchronisation
		if acked.Load() < 60 {
			enough = rounds
		}
		if time.Now().After(end) {
			t.Fatalf("only %d operations were acknowledged", acked.Load())
		}
	}
	r.kill(t)
	wait()
	take()
	status()
	before := func(at time.Time) (m moment) {
		for _, n := range moments {
			if n.at.Before(at) {
				m = n
			}
		}
		return m
	}
	known := before(st.At)
	held := 0
	for _, p := range known.pages {
		held += len(p.held)
	}
	if st.Synchronous || held == 0 {
		t.Fatalf("the standby says %+v: nothing to compare", st)
	}
	verify := func(data string, m moment) {
		t.Helper()
		writeFile(t, r.config, "%s", strings.ReplaceAll(string(text), filepath.Join(r.dir, "data"), data))
		r.run(t, "", "check", "--deep")
		r.start(t)
		for i, l := range ledgers {
			c := mustIMAP(t, r.imap, l.user, r.password)
			for _, f := range l.verifyCopy(c, m.pages[i], moments[len(moments)-1].pages[i]) {
				t.Errorf("%s, %v before the end: %s", filepath.Base(data), moments[len(moments)-1].at.Sub(m.at), f)
			}
		}
		r.end(syscall.SIGTERM)
	}
	middle := moments[len(moments)/2].at
	restored := filepath.Join(r.dir, "restored")
	r.run(t, "", "restore", backups, restored, "--log", standby, "--at", middle.Format(time.RFC3339Nano))
	verify(restored, before(middle.Add(-200*time.Millisecond)))
	if text := r.run(t, "", "standby", "promote", standby, "--yes"); !strings.Contains(text, "may be missing") {
		t.Error(text)
	}
	verify(standby, known)
	t.Logf("%d acknowledged operations; the standby's last change was %v before the end", acked.Load(), moments[len(moments)-1].at.Sub(st.At))
}
