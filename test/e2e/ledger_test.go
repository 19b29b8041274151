package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A ledger is what one account was promised. One goroutine changes the account
// over IMAP and one sends it mail; each has at most one operation whose answer
// it has not read, so after a crash each message is in one of two states.
type ledger struct {
	user string
	rng  *rand.Rand

	mu     sync.Mutex
	held   map[string]place    // by X-Ledger
	doubt  map[string]place    // state after an operation that was not answered
	gone   map[string]bool     // expunged, acknowledged
	tries  map[string]int      // operations begun, by X-Ledger
	past   map[string][]string // what they were, and their answers
	marks  map[string]mark     // by mailbox
	remote map[string]bool     // submitted to the world; true: acknowledged
	acked  *atomic.Int64
	serial int
}

// A place is where a message is and how. The zero place is nowhere.
type place struct {
	mailbox string
	uid     uint64 // 0: not known, as for mail that came by SMTP
	flagged bool
}

// A mark is the highest that a mailbox was seen to say of itself.
type mark struct{ validity, next, modseq uint64 }

var ledgerMailboxes = []string{"INBOX", "Archive"}

func newLedger(user string, seed uint64, acked *atomic.Int64) *ledger {
	return &ledger{user: user, rng: rand.New(rand.NewPCG(seed, 1)), held: map[string]place{}, doubt: map[string]place{},
		gone: map[string]bool{}, tries: map[string]int{}, past: map[string][]string{}, marks: map[string]mark{}, remote: map[string]bool{}, acked: acked}
}

func (l *ledger) newID(kind string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	return fmt.Sprintf("%s-%s-%d", kind, l.user[:strings.IndexByte(l.user, '@')], l.serial)
}

func ledgerMessage(from, id string, size int) []byte {
	return fmt.Appendf(nil, "From: %s\r\nX-Ledger: %s\r\nSubject: %s\r\n\r\n%s\r\n", from, id, id, strings.Repeat("0123456789abcde\r\n", size/17))
}

// ledgerTime is that of the server's log.
const ledgerTime = "15:04:05.000"

// attempt runs op, which brings message id to the place after. Unless it was
// refused, id is in doubt until it is acknowledged.
func (l *ledger) attempt(id string, after place, op func() (place, error)) error {
	l.mu.Lock()
	l.doubt[id] = after
	l.tries[id]++
	begin := time.Now()
	l.mu.Unlock()
	got, err := op()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past[id] = append(l.past[id], fmt.Sprintf("%s to %s: to be %+v, is %+v, answer %v",
		begin.UTC().Format(ledgerTime), time.Now().UTC().Format(ledgerTime), after, got, err))
	var no refusal
	switch {
	case err == nil:
		l.settleLocked(id, got)
		l.acked.Add(1)
	case errors.As(err, &no):
		delete(l.doubt, id)
	}
	return err
}

func (l *ledger) settleLocked(id string, p place) {
	delete(l.doubt, id)
	if p == (place{}) {
		delete(l.held, id)
		l.gone[id] = true
		return
	}
	l.held[id] = p
}

// pick returns a message that IMAP put there, so that its UID is known.
func (l *ledger) pick(n int) (id string, p place, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.held {
		if p.uid == 0 {
			continue
		}
		if n--; n < 0 {
			return id, p, true
		}
	}
	return "", place{}, false
}

// change does one random operation over IMAP.
func (l *ledger) change(c *imapConn) error {
	x := l.rng.IntN(100)
	id, p, ok := l.pick(l.rng.IntN(8))
	switch {
	case !ok || x < 35:
		return l.append(c)
	case x < 65:
		return l.flag(c, id, p)
	case x < 85:
		return l.move(c, id, p)
	}
	return l.expunge(c, id, p)
}

var codeRE = regexp.MustCompile(`\[(?:APPENDUID|COPYUID) (\d+) (?:\S+ )?(\d+)\]`)

// newUID reads the UID from an APPENDUID or COPYUID code.
func newUID(a answer) (uint64, error) {
	for _, s := range append(a.untagged, a.ok) {
		if m := codeRE.FindStringSubmatch(s); m != nil {
			return strconv.ParseUint(m[2], 10, 32)
		}
	}
	return 0, fmt.Errorf("no APPENDUID or COPYUID in %q %q", a.untagged, a.ok)
}

func (l *ledger) append(c *imapConn) error {
	id, box := l.newID("append"), ledgerMailboxes[l.rng.IntN(2)]
	return l.attempt(id, place{mailbox: box}, func() (place, error) {
		a, err := c.appendMessage(box, "", ledgerMessage(l.user, id, 200+l.rng.IntN(12000)))
		if err != nil {
			return place{}, err
		}
		uid, err := newUID(a)
		return place{mailbox: box, uid: uid}, err
	})
}

func (l *ledger) flag(c *imapConn, id string, p place) error {
	after, sign := p, "+"
	if after.flagged = !p.flagged; !after.flagged {
		sign = "-"
	}
	return l.attempt(id, after, func() (place, error) {
		return after, l.selected(c, p.mailbox, "UID STORE %d %sFLAGS.SILENT (\\Flagged)", p.uid, sign)
	})
}

func (l *ledger) expunge(c *imapConn, id string, p place) error {
	if err := l.selected(c, p.mailbox, "UID STORE %d +FLAGS.SILENT (\\Deleted)", p.uid); err != nil {
		return err
	}
	return l.attempt(id, place{}, func() (place, error) {
		_, err := c.cmd("UID EXPUNGE %d", p.uid)
		return place{}, err
	})
}

func (l *ledger) move(c *imapConn, id string, p place) error {
	after := place{mailbox: ledgerMailboxes[0], flagged: p.flagged}
	if p.mailbox == after.mailbox {
		after.mailbox = ledgerMailboxes[1]
	}
	if _, err := c.cmd("SELECT %s", p.mailbox); err != nil {
		return err
	}
	return l.attempt(id, after, func() (place, error) {
		a, err := c.cmd("UID MOVE %d %s", p.uid, after.mailbox)
		if err != nil {
			return place{}, err
		}
		after.uid, err = newUID(a)
		return after, err
	})
}

func (l *ledger) selected(c *imapConn, mailbox, format string, args ...any) error {
	if _, err := c.cmd("SELECT %s", mailbox); err != nil {
		return err
	}
	_, err := c.cmd(format, args...)
	return err
}

// deliver sends the account a message by SMTP.
func (l *ledger) deliver(c *smtpConn) error {
	id := l.newID("smtp")
	return l.attempt(id, place{mailbox: "INBOX"}, func() (place, error) {
		return place{mailbox: "INBOX"}, c.send("a@ledger.test", l.user, ledgerMessage("a@ledger.test", id, 3000))
	})
}

// submit sends a message to the world.
func (l *ledger) submit(c *smtpConn) error {
	id := l.newID("remote")
	l.mu.Lock()
	l.remote[id] = false
	l.mu.Unlock()
	err := c.send(l.user, "someone@remote.test", ledgerMessage(l.user, id, 1000))
	l.mu.Lock()
	defer l.mu.Unlock()
	var no refusal
	switch {
	case err == nil:
		l.remote[id] = true
		l.acked.Add(1)
	case errors.As(err, &no):
		delete(l.remote, id)
	}
	return err
}

var fetchRE = regexp.MustCompile(`^\* \d+ FETCH \(.*UID (\d+)`)

// verify compares the account with the ledger and settles what was in doubt.
func (l *ledger) verify(c *imapConn) (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bad := func(format string, args ...any) {
		id, _ := args[0].(string)
		faults = append(faults, strings.Join(append([]string{l.user + ": " + fmt.Sprintf(format, args...)}, l.past[id]...), "\n\t"))
	}
	found := map[string]place{}
	for _, box := range ledgerMailboxes {
		a, err := c.cmd("SELECT %s (CONDSTORE)", box)
		if err != nil {
			bad("SELECT %s: %v", box, err)
			return faults
		}
		l.checkMarkLocked(box, a, bad)
		a, err = c.cmd("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-Ledger)])")
		if err != nil {
			bad("FETCH in %s: %v", box, err)
			return faults
		}
		l.collect(box, a, found, bad)
	}
	for id, now := range found {
		l.judgeLocked(id, now, bad)
	}
	for id, p := range maps.Clone(l.held) {
		if _, ok := found[id]; ok {
			continue
		}
		if after, open := l.doubt[id]; open && after == (place{}) {
			l.settleLocked(id, place{})
			continue
		}
		bad("%s was acknowledged in %s (uid %d) and is lost", id, p.mailbox, p.uid)
	}
	clear(l.doubt)
	return faults
}

// checkMarkLocked wants UIDVALIDITY unchanged and UIDNEXT and HIGHESTMODSEQ not
// lower than ever seen.
func (l *ledger) checkMarkLocked(box string, a answer, bad func(string, ...any)) {
	var now mark
	now.validity, _ = a.number("[UIDVALIDITY")
	now.next, _ = a.number("[UIDNEXT")
	now.modseq, _ = a.number("[HIGHESTMODSEQ")
	old := l.marks[box]
	if old != (mark{}) && (now.validity != old.validity || now.next < old.next || now.modseq < old.modseq) {
		bad("%s went back from %+v to %+v", box, old, now)
	}
	if now.validity == 0 || now.next == 0 || now.modseq == 0 {
		bad("%s: SELECT does not say what it must: %q", box, a.untagged)
	}
	l.marks[box] = now
}

func (l *ledger) collect(box string, a answer, found map[string]place, bad func(string, ...any)) {
	for _, u := range a.untagged {
		m := fetchRE.FindStringSubmatch(u)
		if m == nil {
			continue
		}
		uid, _ := strconv.ParseUint(m[1], 10, 32)
		_, field, ok := strings.Cut(u, "X-Ledger: ")
		if !ok {
			bad("%s uid %d has no ledger line: %q", box, uid, u)
			continue
		}
		id, _, _ := strings.Cut(field, "\r\n")
		if twin, dup := found[id]; dup {
			bad("%s is twice: %+v and %s uid %d", id, twin, box, uid)
		}
		found[id] = place{box, uid, strings.Contains(u, `\Flagged`)}
	}
}

// judgeLocked wants the message in the state that was acknowledged last, or in
// the one that an unanswered operation would have brought.
func (l *ledger) judgeLocked(id string, now place, bad func(string, ...any)) {
	if l.gone[id] {
		bad("%s was expunged, acknowledged, and is back in %+v", id, now)
		return
	}
	was, known := l.held[id]
	after, open := l.doubt[id]
	fits := func(p place) bool {
		return p.mailbox == now.mailbox && p.flagged == now.flagged && (p.uid == 0 || p.uid == now.uid)
	}
	switch {
	case known && fits(was), open && fits(after):
		if p := was; p.uid != 0 || open || strings.HasPrefix(id, "append") {
			l.held[id] = now
		}
	case !known && !open:
		bad("%s is there, but was refused or never sent: %+v", id, now)
	default:
		bad("%s is %+v, acknowledged was %+v, in doubt %+v", id, now, was, after)
	}
}
