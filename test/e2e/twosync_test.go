package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestTwoSynchronisers lets mbsync and offlineimap synchronise one account both
// ways, each with changes of its own, while mail arrives; at the end all three
// are equal.
func TestTwoSynchronisers(t *testing.T) {
	r := startRig(t)
	user := r.person(t, "ada")
	mb, off := newMbsync(t, r, user), newOfflineIMAP(t, r, user)
	deliver(t, r, user, 0, 20)
	mb.sync(t)
	off.sync(t)
	change(t, filepath.Join(mb.dir, "mail"), 3)
	change(t, filepath.Join(off.dir, "mail"), 5)

	var wg sync.WaitGroup
	wg.Go(func() { deliver(t, r, user, 20, 60) })
	for range 2 {
		mb.sync(t)
		off.sync(t)
	}
	wg.Wait()
	for range 2 {
		mb.sync(t)
		off.sync(t)
	}
	a, b := treeOf(t, filepath.Join(mb.dir, "mail")), treeOf(t, filepath.Join(off.dir, "mail"))
	if !slices.Equal(a, b) {
		t.Errorf("mbsync holds\n%s\nofflineimap holds\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	c := mustIMAP(t, r.imap, user, r.password)
	waitFor(t, c, "INBOX", "ALL", len(a))
	if len(a) != 60 {
		t.Errorf("%d messages at the end, want 60", len(a))
	}
}

func deliver(t *testing.T, r *rig, user string, from, to int) {
	c, err := dialSMTP(r.mx)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for i := from; i < to; i++ {
		msg := fmt.Sprintf("From: a@far.test\r\nMessage-ID: <%d@far.test>\r\nSubject: number %d\r\n\r\nHello\r\n", i, i)
		if err := c.send("a@far.test", user, []byte(msg)); err != nil {
			t.Error(err)
			return
		}
	}
}
