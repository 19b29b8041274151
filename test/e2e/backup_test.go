package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A page is what a ledger said at one moment.
type page struct {
	held, doubt map[string]place
	gone        map[string]bool
	tries       map[string]int
}

func (l *ledger) page() page {
	l.mu.Lock()
	defer l.mu.Unlock()
	return page{maps.Clone(l.held), maps.Clone(l.doubt), maps.Clone(l.gone), maps.Clone(l.tries)}
}

// verifyCopy compares the account on a server made from a copy of the store,
// which was begun after page before and done before page after: what nobody
// touched between is exactly as it was, nothing is there twice, nothing came back.
func (l *ledger) verifyCopy(c *imapConn, before, after page) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, l.user+": "+fmt.Sprintf(format, args...)) }
	found := map[string]place{}
	for _, box := range ledgerMailboxes {
		if _, err := c.cmd("SELECT %s", box); err != nil {
			bad("SELECT %s: %v", box, err)
			return faults
		}
		a, err := c.cmd("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-Ledger)])")
		if err != nil {
			bad("FETCH in %s: %v", box, err)
			return faults
		}
		l.collect(box, a, found, bad)
	}
	same := func(p, q place) bool {
		return p.mailbox == q.mailbox && p.flagged == q.flagged && (p.uid == 0 || q.uid == 0 || p.uid == q.uid)
	}
	for id, p := range before.held {
		if _, open := before.doubt[id]; open || after.tries[id] != before.tries[id] {
			continue // changed meanwhile
		}
		if now, ok := found[id]; !ok || !same(p, now) {
			bad("%s was acknowledged as %+v, the copy has %+v", id, p, now)
		}
	}
	for id := range before.gone {
		if _, ok := found[id]; ok {
			bad("%s was expunged before and is in the copy", id)
		}
	}
	return faults
}

// TestBackupUnderLoad backs a busy server up twice, restores the second backup
// and the first, and connects a client that has seen later states.
func TestBackupUnderLoad(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	out := startSink(t)
	r := newRig(t, rigOptions{relay: out.addr})
	var acked atomic.Int64
	var ledgers []*ledger
	for i := range 3 {
		l := newLedger(fmt.Sprintf("u%d@%s", i, r.domain), seed+uint64(i), &acked)
		r.addAccount(t, l.user)
		ledgers = append(ledgers, l)
	}
	r.start(t)
	c := mustIMAP(t, r.imap, ledgers[0].user, r.password)
	if _, err := c.appendMessage("INBOX", "", ledgerMessage("a@b.test", "large", 3<<20)); err != nil {
		t.Fatal(err)
	}
	ledgers[0].held["large"] = place{mailbox: "INBOX"}
	wait := loadLedgers(t, r, ledgers)
	dir := filepath.Join(r.dir, "backups")
	var names []string
	var begun, done [2][]page
	for n := range 2 {
		time.Sleep(300 * time.Millisecond) // load, not synchronisation
		for _, l := range ledgers {
			begun[n] = append(begun[n], l.page())
		}
		names = append(names, strings.TrimSpace(r.run(t, "", "backup", "create", dir, "-q")))
		for _, l := range ledgers {
			done[n] = append(done[n], l.page())
		}
	}
	time.Sleep(200 * time.Millisecond) // changes that the restore will lose
	r.kill(t)
	wait()
	r.start(t)
	verifyLedgers(t, r, ledgers, 0) // and learn the last UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ
	r.end(syscall.SIGTERM)
	var list struct{ Backups []struct{ Name string } }
	if err := json.Unmarshal([]byte(r.run(t, "", "backup", "list", dir, "--json")), &list); err != nil || len(list.Backups) != 2 || list.Backups[1].Name != names[1] {
		t.Fatalf("list: %v, %+v, want %q", err, list, names)
	}
	r.run(t, "", "backup", "verify", dir)
	for _, n := range []int{1, 0} {
		data := filepath.Join(r.dir, "data")
		if err := os.Rename(data, filepath.Join(r.dir, fmt.Sprint("old", n))); err != nil {
			t.Fatal(err)
		}
		r.run(t, "", "restore", filepath.Join(dir, names[n]), data)
		r.run(t, "", "check", "--deep")
		r.start(t)
		for i, l := range ledgers {
			c := mustIMAP(t, r.imap, l.user, r.password)
			for _, f := range l.verifyCopy(c, begun[n][i], done[n][i]) {
				t.Errorf("backup %d: %s", n, f)
			}
			l.resync(t, c)
		}
		r.end(syscall.SIGTERM)
	}
	r.run(t, "", "backup", "prune", dir, "--keep", "1", "--yes")
	r.run(t, "", "backup", "verify", dir)
	t.Logf("%d operations acknowledged under two backups", acked.Load())
}

// resync is a client that saw later states than the server has now.
func (l *ledger) resync(t *testing.T, c *imapConn) {
	t.Helper()
	if _, err := c.cmd("ENABLE QRESYNC"); err != nil {
		t.Fatal(err)
	}
	for _, box := range ledgerMailboxes {
		seen := l.marks[box]
		a, err := c.cmd("SELECT %s (QRESYNC (%d %d))", box, seen.validity, seen.modseq)
		if err != nil {
			t.Fatal(err)
		}
		validity, _ := a.number("[UIDVALIDITY")
		modseq, _ := a.number("[HIGHESTMODSEQ")
		if validity <= seen.validity || modseq <= seen.modseq {
			t.Errorf("%s %s: UIDVALIDITY %d, HIGHESTMODSEQ %d; the client had seen %+v", l.user, box, validity, modseq, seen)
		}
		for _, u := range a.untagged {
			if strings.Contains(u, "VANISHED") || strings.Contains(u, "FETCH") {
				t.Errorf("%s %s: the server brings a client of an older UIDVALIDITY up to date: %q", l.user, box, u)
			}
		}
	}
}
