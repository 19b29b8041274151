package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A reader is a mail program that keeps a cache of a mailbox as Thunderbird does: it
// resumes with QRESYNC, waits in IDLE, and believes what it is told.
type reader struct {
	*imapConn
	validity, modseq uint64
	uids             []int          // by sequence number
	cache            map[int]string // flags by UID
}

var (
	toldExists  = regexp.MustCompile(`^\* (\d+) EXISTS`)
	toldFetch   = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)`)
	toldVanish  = regexp.MustCompile(`^\* VANISHED (?:\(EARLIER\) )?(\S+)`)
	itemUID     = regexp.MustCompile(`UID (\d+)`)
	itemFlags   = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	itemModSeq  = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	toldHighest = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
)

// open connects and brings the cache up to date.
func (b *reader) open(t *testing.T, r *rig, user string) {
	t.Helper()
	b.imapConn = mustIMAP(t, r.imap, user, r.password)
	for _, cmd := range []string{"ENABLE CONDSTORE", "ENABLE QRESYNC"} {
		if _, err := b.cmd("%s", cmd); err != nil {
			t.Fatal(err)
		}
	}
	params := ""
	if b.modseq > 0 {
		params = fmt.Sprintf(" (QRESYNC (%d %d))", b.validity, b.modseq)
	} else {
		b.cache = map[int]string{}
	}
	a, err := b.cmd("SELECT INBOX%s", params)
	if err != nil {
		t.Fatal(err)
	}
	v, ok := a.number("UIDVALIDITY")
	if !ok || b.modseq > 0 && v != b.validity {
		t.Fatalf("UIDVALIDITY %d, it was %d", v, b.validity)
	}
	first := b.modseq == 0
	b.validity = v
	for _, l := range a.untagged {
		b.takeIn(t, l)
	}
	b.modseq, _ = a.number("HIGHESTMODSEQ")
	if first {
		b.ask(t, "UID FETCH 1:* (FLAGS)")
		return
	}
	// The numbers are those of the UIDs in order.
	b.uids = nil
	for uid := 1; len(b.uids) < len(b.cache); uid++ {
		if _, ok := b.cache[uid]; ok {
			b.uids = append(b.uids, uid)
		}
	}
}

func (b *reader) ask(t *testing.T, cmd string) {
	t.Helper()
	a, err := b.cmd("%s", cmd)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.untagged {
		b.takeIn(t, l)
	}
}

// takeIn applies what is told.
func (b *reader) takeIn(t *testing.T, l string) {
	t.Helper()
	if m := toldExists.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		for len(b.uids) < n {
			b.uids = append(b.uids, 0)
		}
	}
	if m := toldVanish.FindStringSubmatch(l); m != nil {
		for part := range strings.SplitSeq(m[1], ",") {
			lo, hi, ranged := strings.Cut(part, ":")
			from, _ := strconv.Atoi(lo)
			to := from
			if ranged {
				to, _ = strconv.Atoi(hi)
			}
			for uid := from; uid <= to; uid++ {
				delete(b.cache, uid)
				for i, u := range b.uids {
					if u == uid {
						b.uids = append(b.uids[:i], b.uids[i+1:]...)
						break
					}
				}
			}
		}
	}
	if m := toldFetch.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		uid := 0
		if u := itemUID.FindStringSubmatch(m[2]); u != nil {
			uid, _ = strconv.Atoi(u[1])
		}
		if n <= len(b.uids) && uid == 0 {
			uid = b.uids[n-1]
		}
		if n <= len(b.uids) {
			b.uids[n-1] = uid
		}
		if f := itemFlags.FindStringSubmatch(m[2]); f != nil && uid > 0 {
			b.cache[uid] = strings.TrimSpace(strings.ReplaceAll(f[1], `\Recent`, ""))
		}
		if s := itemModSeq.FindStringSubmatch(m[2]); s != nil {
			v, _ := strconv.ParseUint(s[1], 10, 64)
			b.modseq = max(b.modseq, v)
		}
	}
	if m := toldHighest.FindStringSubmatch(l); m != nil {
		b.modseq, _ = strconv.ParseUint(m[1], 10, 64)
	}
}

// idleUntil waits in IDLE until the cache is as it should be, asking for what is new as
// one does.
func (b *reader) idleUntil(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ready(); {
		if time.Now().After(end) {
			t.Fatalf("the cache is %v", b.cache)
		}
		b.tag++
		tag := "t" + strconv.Itoa(b.tag)
		b.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(b, "%s IDLE\r\n", tag)
		if l, err := b.line(); err != nil || !strings.HasPrefix(l, "+ ") {
			t.Fatal(l, err)
		}
		l, err := b.line()
		if err != nil {
			t.Fatal(err)
		}
		b.takeIn(t, l)
		fmt.Fprint(b, "DONE\r\n")
		a, err := b.finish(tag)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range a.untagged {
			b.takeIn(t, l)
		}
		for i, u := range b.uids {
			if u == 0 {
				b.ask(t, fmt.Sprintf("FETCH %d:* (UID FLAGS)", i+1))
				break
			}
		}
	}
}

// truth is what a program without a cache sees.
func truth(t *testing.T, r *rig, user string) map[int]string {
	t.Helper()
	fresh := &reader{}
	fresh.open(t, r, user)
	defer fresh.Close()
	return fresh.cache
}

// TestQuickResync: Thunderbird's way with a mailbox. Its cache is right after changes that
// others made while it was there and while it was not, over a restart of the server too.
func TestQuickResync(t *testing.T) {
	r := startRig(t)
	user := r.person(t, "ada")
	fillInbox(t, r, user, 9)
	b := &reader{}
	b.open(t, r, user)
	other := mustIMAP(t, r.imap, user, r.password)
	do := func(cmds ...string) {
		t.Helper()
		for _, c := range cmds {
			if _, err := other.cmd("%s", c); err != nil {
				t.Fatal(c, err)
			}
		}
	}
	do("SELECT INBOX", `STORE 1:3 +FLAGS (\Seen)`, `STORE 2 +FLAGS (\Deleted)`, "EXPUNGE", `UID STORE 9 FLAGS ($Later \Flagged)`)
	fillInbox(t, r, user, 1)
	same := func() bool { return maps.Equal(b.cache, truth(t, r, user)) }
	b.idleUntil(t, same)
	if _, err := b.cmd(`STORE 1 +FLAGS (\Answered)`); err != nil {
		t.Fatal(err)
	}
	b.ask(t, "NOOP")
	b.ask(t, "UID FETCH 1 (FLAGS)")
	b.Close() // the laptop is shut
	do(`UID STORE 4:6 +FLAGS (\Deleted)`, "UID EXPUNGE 5:6", `UID STORE 4 -FLAGS (\Deleted)`, `UID MOVE 7 Archive`, `UID STORE 8 +FLAGS (\Seen)`)
	fillInbox(t, r, user, 2)
	other.Close()
	r.kill(t)
	r.start(t)
	b.open(t, r, user)
	if !same() {
		t.Fatalf("the cache is %v, there is %v", b.cache, truth(t, r, user))
	}
	if len(b.cache) != 8 || b.cache[9] == "" {
		t.Errorf("the cache is %v", b.cache)
	}
	b.ask(t, "NOOP")
	b.open(t, r, user) // nothing happened
	if !same() {
		t.Errorf("the cache is %v, there is %v", b.cache, truth(t, r, user))
	}
}
