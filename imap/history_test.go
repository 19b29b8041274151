package imap

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The history checker: many connections do at random what clients do to the same
// mailboxes, at once. Each believes only what it is told, and looks whether the protocol
// allows to tell it; whenever all pause, each must know exactly what is there.
//
// A and B: anything goes. K and L: messages come by APPEND and go from one to the other by
// MOVE, so that each must be there once, for ever. R0 to R2 are made, renamed and deleted
// under those who use them.

// A ledger is what all witnesses know together.
type ledger struct {
	mu      sync.Mutex
	content map[string]string // by mailbox id, UIDVALIDITY and UID: what the message says it is
	kept    map[string]bool   // messages that were taken into K and L; false: perhaps
	faults  []string
	ops     int
}

// saw notes that a UID is this message: it may never be another.
func (l *ledger) saw(key, token string) (was string, same bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was, known := l.content[key]; known {
		return was, was == token
	}
	l.content[key] = token
	return token, true
}

// keep notes a message that is in K or L; unless sure, it may be.
func (l *ledger) keep(token string, sure bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[token] = sure
}

// A fact is what a witness knows of a message.
type fact struct {
	uid    int // 0: not known yet
	flags  string
	modseq uint64
}

// A witness is one client.
type witness struct {
	l    *ledger
	h    *house
	id   int
	kind string // plain, condstore, qresync, uidonly, rev2
	r    *rand.Rand

	nc   net.Conn
	in   *bufio.Reader
	part string // of a line that has not come whole
	tag  int
	made int // messages
	log  []string

	box     string // selected; "" none
	boxID   string
	valid   string
	msgs    []fact
	floor   int            // the UID up to which it knows all
	modseq  uint64         // up to which it knows all
	pending uint64         // of the command that runs: highest MODSEQ of items
	code    uint64         // and HIGHESTMODSEQ
	gone    bool           // the server said BYE
	next    map[string]int // UIDNEXT by mailbox and UIDVALIDITY
}

// stop ends a witness after a fault.
type stop struct{}

func (w *witness) fault(format string, args ...any) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if len(w.l.faults) < 3 {
		w.l.faults = append(w.l.faults, fmt.Sprintf("%s %d in %s: %s\n%s", w.kind, w.id, w.box, fmt.Sprintf(format, args...), strings.Join(w.log, "\n")))
	}
	panic(stop{})
}

func (w *witness) note(s string) {
	if w.log = append(w.log, s); len(w.log) > 60 {
		w.log = w.log[20:]
	}
}

func (w *witness) knowsModSeq() bool { return w.kind != "plain" && w.kind != "rev2" }
func (w *witness) vanishes() bool    { return w.kind == "qresync" || w.kind == "uidonly" }

func (w *witness) connect() {
	if w.nc != nil {
		w.nc.Close()
	}
	nc, err := w.h.login("ada")
	if err != nil {
		w.fault("login: %v", err)
	}
	w.nc, w.in, w.part, w.gone = nc, bufio.NewReader(nc), "", false
	w.box, w.msgs = "", nil
	w.note("-- connected")
	switch w.kind {
	case "condstore":
		w.do("ENABLE CONDSTORE")
	case "qresync":
		w.do("ENABLE QRESYNC")
	case "uidonly":
		w.do("ENABLE QRESYNC UIDONLY")
	case "rev2":
		w.do("ENABLE IMAP4rev2")
	}
}

func (w *witness) write(s string) {
	w.note("C: " + strings.TrimRight(s, "\r\n"))
	w.nc.SetWriteDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(w.nc, s); err != nil {
		w.fault("write: %v", err)
	}
}

// line reads one response with its literals; ok is false if none comes in time.
func (w *witness) line(patience time.Duration) (line string, ok bool) {
	w.nc.SetReadDeadline(time.Now().Add(patience))
	for {
		s, err := w.in.ReadString('\n')
		w.part += s
		if err != nil {
			if isTimeout(err) {
				return "", false
			}
			w.fault("read: %v after %q", err, w.part)
		}
		text := strings.TrimRight(w.part, "\r\n")
		if n := literalLength(text); n >= 0 {
			b := make([]byte, n)
			w.nc.SetReadDeadline(time.Now().Add(60 * time.Second))
			if _, err := io.ReadFull(w.in, b); err != nil {
				w.fault("read: %v", err)
			}
			w.part = strings.TrimSuffix(text, fmt.Sprintf("{%d}", n)) + strconv.Quote(string(b))
			continue
		}
		w.part = ""
		w.note("S: " + text)
		return text, true
	}
}

func literalLength(s string) int {
	i := strings.LastIndexByte(s, '{')
	if i < 0 || !strings.HasSuffix(s, "}") {
		return -1
	}
	n, err := strconv.Atoi(s[i+1 : len(s)-1])
	if err != nil {
		return -1
	}
	return n
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// do runs a command and takes in what is said meanwhile. It returns the untagged lines
// and how it ended: OK, NO, or BYE.
func (w *witness) do(cmd string) (lines []string, end string) {
	w.tag++
	tag := fmt.Sprintf("t%d", w.tag)
	w.write(tag + " " + cmd + "\r\n")
	w.pending, w.code = 0, 0
	for {
		l, ok := w.line(60 * time.Second)
		if !ok {
			w.fault("no answer to %s", cmd)
		}
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			w.tellCode(rest)
			w.learned()
			return append(lines, rest), w.judge(cmd, rest)
		}
		if strings.HasPrefix(l, "* BYE") {
			if !strings.Contains(l, "NONEXISTENT") || !strings.HasPrefix(w.box, "R") {
				w.fault("%s: %s", cmd, l)
			}
			w.gone = true
			return append(lines, l), "BYE"
		}
		lines = append(lines, l)
		w.take(cmd, l)
	}
}

// judge looks at a tagged response: what is refused must have a reason that another
// client can have made.
func (w *witness) judge(cmd, rest string) string {
	end, text, _ := strings.Cut(rest, " ")
	if end == "OK" {
		return end
	}
	for _, code := range []string{"[NONEXISTENT]", "[TRYCREATE]", "[ALREADYEXISTS]", "[EXPUNGEISSUED]"} {
		if end == "NO" && strings.HasPrefix(text, code) {
			return end
		}
	}
	w.fault("%s: %s", cmd, rest)
	return ""
}

// learned moves the point up to which all is known, RFC 7162 §6: only when the
// command is over and no message is unknown.
func (w *witness) learned() {
	if w.kind == "uidonly" {
		slices.SortStableFunc(w.msgs, func(a, b fact) int { return cmp.Compare(uint(a.uid)-1, uint(b.uid)-1) }) // unknown ones last
	}
	if slices.ContainsFunc(w.msgs, func(f fact) bool { return f.uid == 0 }) {
		return
	}
	for _, f := range w.msgs {
		w.floor = max(w.floor, f.uid)
	}
	if w.code != 0 {
		if w.code < w.modseq && w.pending <= w.code {
			w.fault("HIGHESTMODSEQ goes back from %d to %d", w.modseq, w.code)
		}
		w.modseq = w.code
	} else {
		w.modseq = max(w.modseq, w.pending)
	}
}

func (w *witness) tellCode(l string) {
	if m := highestRE.FindStringSubmatch(l); m != nil {
		w.code, _ = strconv.ParseUint(m[1], 10, 64)
	}
}

// numbersOnly: while these run, no message may go, because the client's numbers are
// still on their way (RFC 9051 §7.5.1).
func numbersOnly(cmd string) bool {
	return strings.HasPrefix(cmd, "FETCH") || strings.HasPrefix(cmd, "STORE") || strings.HasPrefix(cmd, "SEARCH")
}

// take applies an untagged response.
func (w *witness) take(cmd, l string) {
	if m := existsRE.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		if n < len(w.msgs) {
			w.fault("%s: %s, but there were %d", cmd, l, len(w.msgs))
		}
		w.msgs = append(w.msgs, make([]fact, n-len(w.msgs))...)
	} else if m := expungeRE.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		if w.vanishes() || numbersOnly(cmd) || n < 1 || n > len(w.msgs) {
			w.fault("%s: %s of %d", cmd, l, len(w.msgs))
		}
		w.msgs = slices.Delete(w.msgs, n-1, n)
	} else if m := vanishRE.FindStringSubmatch(l); m != nil {
		if !w.vanishes() || m[1] == "" && numbersOnly(cmd) {
			w.fault("%s: %s", cmd, l)
		}
		w.vanished(cmd, m[2], m[1] != "")
	} else if m := fetchRE.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		if w.kind == "uidonly" || n < 1 || n > len(w.msgs) {
			w.fault("%s: %s of %d", cmd, l, len(w.msgs))
		}
		w.told(cmd, l, n-1, m[2])
	} else if m := uidFetchRE.FindStringSubmatch(l); m != nil {
		if w.kind != "uidonly" {
			w.fault("%s: %s", cmd, l)
		}
		uid, _ := strconv.Atoi(m[1])
		w.told(cmd, l, w.place(uid), m[2]+" UID "+m[1])
	} else if strings.HasPrefix(cmd, "DELETE") && strings.HasPrefix(l, "* OK [CLOSED]") {
		w.leave() // its own mailbox, which somebody gave that name
	} else {
		w.tellCode(l)
	}
}

// place is where a UID stands: known, or the first that is not known.
func (w *witness) place(uid int) int {
	if i := slices.IndexFunc(w.msgs, func(f fact) bool { return f.uid == uid }); i >= 0 {
		return i
	}
	i := slices.IndexFunc(w.msgs, func(f fact) bool { return f.uid == 0 })
	if i < 0 {
		w.fault("UID %d is one too many", uid)
	}
	return i
}

// vanished takes UIDs away. One that is told of a message that is not known yet counts for
// the first of these. Those that went EARLIER need not have been known.
func (w *witness) vanished(cmd, set string, earlier bool) {
	for r := range strings.SplitSeq(set, ",") {
		lo, hi, ranged := strings.Cut(r, ":")
		a, _ := strconv.Atoi(lo)
		b := a
		if ranged {
			b, _ = strconv.Atoi(hi)
		}
		for uid := a; uid <= b; uid++ {
			i := slices.IndexFunc(w.msgs, func(f fact) bool { return f.uid == uid })
			if i < 0 && earlier {
				continue
			}
			if i < 0 {
				if i = w.gap(uid); i < 0 {
					w.fault("%s: VANISHED %d, which was not there", cmd, uid)
				}
			}
			w.msgs = slices.Delete(w.msgs, i, i+1)
		}
	}
}

// gap is the first place of a message that is not known, where a UID may stand; -1 if
// there is none.
func (w *witness) gap(uid int) int {
	if w.kind == "uidonly" { // which knows no places
		return slices.IndexFunc(w.msgs, func(f fact) bool { return f.uid == 0 })
	}
	found := -1
	for i, f := range w.msgs {
		switch {
		case f.uid > uid:
			return found
		case f.uid != 0:
			found = -1
		case found < 0:
			found = i
		}
	}
	return found
}

// told takes in what FETCH says of the message at a place.
func (w *witness) told(cmd, l string, i int, items string) {
	f := &w.msgs[i]
	if m := uidRE.FindStringSubmatch(items); m != nil {
		uid, _ := strconv.Atoi(m[1])
		if f.uid != 0 && f.uid != uid {
			w.fault("%s: %s, but it is %d", cmd, l, f.uid)
		}
		for j, g := range w.msgs {
			if w.kind != "uidonly" && g.uid != 0 && (j < i && g.uid >= uid || j > i && g.uid <= uid) {
				w.fault("%s: %s: UID %d stands at %d", cmd, l, g.uid, j+1)
			}
		}
		f.uid = uid
	}
	if m := modseqRE.FindStringSubmatch(items); m != nil {
		n, _ := strconv.ParseUint(m[1], 10, 64)
		if n < f.modseq {
			w.fault("%s: %s, but it was %d", cmd, l, f.modseq)
		}
		f.modseq = n
		w.pending = max(w.pending, n)
	} else if w.kind == "qresync" && strings.Contains(items, "FLAGS (") && !strings.HasPrefix(cmd, "FETCH") && !strings.HasPrefix(cmd, "UID FETCH") {
		w.fault("%s: %s without MODSEQ", cmd, l)
	}
	if m := flagsRE.FindStringSubmatch(items); m != nil {
		f.flags = sortFlags(m[1])
	}
	if m := tokenRE.FindStringSubmatch(items); m != nil && f.uid != 0 {
		if was, same := w.l.saw(fmt.Sprintf("%s.%s.%d", w.boxID, w.valid, f.uid), m[1]); !same {
			w.fault("%s: UID %d was %s and is %s", cmd, f.uid, was, m[1])
		}
	}
}

// uidNext notes a UIDNEXT, which never goes back for one who looks twice.
func (w *witness) uidNext(text string) {
	n, _ := strconv.Atoi(text)
	if of := w.boxID + "." + w.valid; w.boxID != "" && w.valid != "" {
		if n < w.next[of] {
			w.fault("UIDNEXT goes back from %d to %d", w.next[of], n)
		}
		w.next[of] = n
	}
}

// learn asks for what is new.
func (w *witness) learn() {
	for range 1000 {
		i := slices.IndexFunc(w.msgs, func(f fact) bool { return f.uid == 0 })
		if i < 0 || w.gone || w.box == "" {
			return
		}
		w.do(w.fetchFrom(i))
	}
	w.fault("new messages without end")
}

func (w *witness) fetchFrom(i int) string {
	items := "(UID FLAGS)"
	if w.knowsModSeq() {
		items = "(UID FLAGS MODSEQ)"
	}
	if w.kind != "uidonly" {
		return fmt.Sprintf("FETCH %d:* %s", i+1, items)
	}
	return fmt.Sprintf("UID FETCH %d:* %s", w.floor+1, items)
}

// selectBox selects a mailbox with nothing known of it. It reports whether it is there.
func (w *witness) selectBox(box string) bool {
	w.leave()
	w.boxID, w.valid = "", ""
	_, end := w.opened(box, "SELECT "+box)
	if end != "OK" {
		return false
	}
	w.learn()
	return !w.gone
}

func (w *witness) leave() { w.box, w.msgs, w.modseq, w.floor = "", nil, 0, 0 }

// opened runs a command that selects.
func (w *witness) opened(box, cmd string) (lines []string, end string) {
	w.box = box
	lines, end = w.do(cmd)
	if end != "OK" {
		w.leave()
		return lines, end
	}
	for _, l := range lines {
		if m := validRE.FindStringSubmatch(l); m != nil {
			w.valid = m[1]
		}
		if m := mailboxIDRE.FindStringSubmatch(l); m != nil {
			w.boxID = m[1]
		}
	}
	for _, l := range lines {
		if m := uidNextRE.FindStringSubmatch(l); m != nil {
			w.uidNext(m[1])
		}
	}
	return lines, end
}

// resync drops the connection, or not, and selects the mailbox again from what is known.
func (w *witness) resync() {
	if w.box == "" || !w.vanishes() {
		w.do("NOOP")
		return
	}
	box, state := w.box, w.state()
	if w.r.IntN(2) == 0 {
		w.connect()
	} else {
		w.do("UNSELECT")
	}
	w.resume(box, state)
}

// A checkpoint is what a client keeps of a mailbox between connections.
type checkpoint struct {
	id, valid string
	modseq    uint64
	msgs      []fact
}

func (w *witness) state() checkpoint {
	known := slices.DeleteFunc(slices.Clone(w.msgs), func(f fact) bool { return f.uid == 0 })
	slices.SortFunc(known, func(a, b fact) int { return cmp.Compare(a.uid, b.uid) })
	return checkpoint{w.boxID, w.valid, w.modseq, known}
}

// resume selects with QRESYNC (RFC 7162 §3.2.5): what VANISHED and FETCH say must lead from
// what was known to what is there.
func (w *witness) resume(box string, from checkpoint) {
	if from.modseq == 0 {
		w.selectBox(box)
		return
	}
	params, limited := fmt.Sprintf("%s %d", from.valid, from.modseq), false
	if n := len(from.msgs); n > 0 && w.r.IntN(2) == 0 {
		params, limited = params+fmt.Sprintf(" 1:%d", from.msgs[n-1].uid), true
	}
	w.leave()
	w.box, w.boxID, w.valid = box, "", ""
	w.tag++
	tag := fmt.Sprintf("t%d", w.tag)
	w.write(fmt.Sprintf("%s SELECT %s (QRESYNC (%s))\r\n", tag, box, params))
	var lines []string
	for {
		l, ok := w.line(60 * time.Second)
		if !ok {
			w.fault("no answer to SELECT")
		}
		if strings.HasPrefix(l, "* BYE") {
			w.gone = true
			return
		}
		lines = append(lines, l)
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			if w.judge("SELECT", rest) != "OK" {
				w.leave()
				return
			}
			break
		}
	}
	w.rebuild(from, lines, limited)
}

// rebuild makes the view anew from a checkpoint and the answer to a SELECT. limited: it
// asked about known UIDs only, and has to find out itself what is new.
func (w *witness) rebuild(from checkpoint, lines []string, limited bool) {
	exists, highest := 0, uint64(0)
	for _, l := range lines {
		if m := validRE.FindStringSubmatch(l); m != nil {
			w.valid = m[1]
		} else if m := mailboxIDRE.FindStringSubmatch(l); m != nil {
			w.boxID = m[1]
		} else if m := highestRE.FindStringSubmatch(l); m != nil {
			highest, _ = strconv.ParseUint(m[1], 10, 64)
		} else if m := existsRE.FindStringSubmatch(l); m != nil {
			exists, _ = strconv.Atoi(m[1])
		}
	}
	if w.valid != from.valid { // another mailbox: nothing of what was known holds
		w.msgs = make([]fact, exists)
		w.modseq = 0
		w.code, w.pending = highest, 0
		w.learn()
		return
	}
	if highest < from.modseq {
		w.fault("resync: HIGHESTMODSEQ %d, but %d was known", highest, from.modseq)
	}
	w.msgs = from.msgs
	type news struct {
		number int // 0 in UIDONLY
		fact
	}
	var fresh []news
	for _, l := range lines {
		if m := vanishRE.FindStringSubmatch(l); m != nil {
			w.vanished("resync", m[2], m[1] != "")
		}
		m, by := fetchRE.FindStringSubmatch(l), 0
		if m != nil {
			by, _ = strconv.Atoi(m[1])
		} else if m = uidFetchRE.FindStringSubmatch(l); m != nil {
			m[2] += " UID " + m[1]
		}
		if m == nil {
			continue
		}
		uid, _ := strconv.Atoi(uidRE.FindStringSubmatch(m[2])[1])
		n, _ := strconv.ParseUint(modseqRE.FindStringSubmatch(m[2])[1], 10, 64)
		if n <= from.modseq {
			w.fault("resync: %s is no news after %d", l, from.modseq)
		}
		fresh = append(fresh, news{by, fact{uid, sortFlags(flagsRE.FindStringSubmatch(m[2])[1]), n}})
	}
	for _, f := range fresh {
		i, found := slices.BinarySearchFunc(w.msgs, f.uid, func(g fact, uid int) int { return g.uid - uid })
		switch {
		case found && f.modseq < w.msgs[i].modseq:
			w.fault("resync: MODSEQ of UID %d goes back from %d to %d", f.uid, w.msgs[i].modseq, f.modseq)
		case found:
			w.msgs[i] = f.fact
		default:
			w.msgs = slices.Insert(w.msgs, i, f.fact)
		}
	}
	if n := exists - len(w.msgs); limited && n > 0 {
		w.msgs = append(w.msgs, make([]fact, n)...)
	}
	if len(w.msgs) != exists {
		w.fault("resync from %d ends with %d messages of %d", from.modseq, len(w.msgs), exists)
	}
	for _, f := range fresh {
		if f.number > 0 && w.msgs[f.number-1].uid != f.uid {
			w.fault("resync: UID %d is told to be number %d, which is %d", f.uid, f.number, w.msgs[f.number-1].uid)
		}
	}
	w.code, w.pending = highest, 0
	w.learned()
	w.learn()
}

// idle waits for news in IDLE, for a moment.
func (w *witness) idle() {
	w.tag++
	tag := fmt.Sprintf("t%d", w.tag)
	w.write(tag + " IDLE\r\n")
	w.pending, w.code = 0, 0
	waiting, done := time.Duration(w.r.IntN(30))*time.Millisecond, false
	for patience := 60 * time.Second; ; {
		l, ok := w.line(patience)
		switch {
		case !ok && done:
			w.fault("no answer to DONE")
		case !ok:
			if patience > time.Second {
				w.fault("no answer to IDLE")
			}
			w.write("DONE\r\n")
			done, patience = true, 60*time.Second
		case strings.HasPrefix(l, "+ "):
			patience = waiting
		case strings.HasPrefix(l, "* BYE"):
			if !strings.HasPrefix(w.box, "R") {
				w.fault("IDLE: %s", l)
			}
			w.gone = true
			return
		case strings.HasPrefix(l, tag+" "):
			w.judge("IDLE", strings.TrimPrefix(l, tag+" "))
			w.learned()
			return
		default:
			w.take("IDLE", l)
		}
	}
}

func (w *witness) message() (literal, token string) {
	w.made++
	token = fmt.Sprintf("%d-%d", w.id, w.made)
	text := "X-T: " + token + "\r\n\r\n" + strings.Repeat("x", w.r.IntN(50)) + "\r\n"
	return fmt.Sprintf("{%d+}\r\n%s", len(text), text), token
}

// boxes that are always there, and those that come and go.
var lastingBoxes, passingBoxes = []string{"A", "B", "K", "L"}, []string{"R0", "R1", "R2"}

func keeps(box string) bool { return box == "K" || box == "L" }

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// set names some messages, for a command by number or by UID.
func (w *witness) set() (uid, set string) {
	n := len(w.msgs)
	a := w.r.IntN(n)
	b := min(n-1, a+w.r.IntN(4))
	if w.kind == "uidonly" || w.r.IntN(2) == 0 {
		return "UID ", fmt.Sprintf("%d:%d", w.msgs[a].uid, w.msgs[b].uid)
	}
	return "", fmt.Sprintf("%d:%d", a+1, b+1)
}

// act does something at random.
func (w *witness) act() {
	w.l.mu.Lock()
	w.l.ops++
	w.l.mu.Unlock()
	if w.gone {
		w.connect()
	}
	w.learn()
	if w.gone {
		return
	}
	if w.box == "" {
		w.selectBox(pick(w.r, append(slices.Clone(lastingBoxes), passingBoxes...)))
		return
	}
	switch k := w.r.IntN(40); {
	case k < 2:
		w.do("NOOP")
	case k < 5:
		w.idle()
	case k < 7:
		w.resync()
	case k < 9:
		w.selectBox(pick(w.r, append(slices.Clone(lastingBoxes), passingBoxes...)))
	case k < 11:
		w.manage()
	case k < 14 || len(w.msgs) == 0:
		w.append()
	default:
		w.change(k)
	}
}

func (w *witness) append() {
	box := w.box
	if w.r.IntN(3) == 0 {
		box = pick(w.r, lastingBoxes)
	}
	literal, token := w.message()
	cmd, tokens := "APPEND "+box+` (\Flagged) `+literal, []string{token}
	if w.r.IntN(4) == 0 { // two at once
		more, second := w.message()
		cmd, tokens = cmd+" "+more, append(tokens, second)
	}
	_, end := w.do(cmd)
	for _, t := range tokens {
		switch {
		case !keeps(box) || end == "NO":
		case end == "OK":
			w.l.keep(t, true)
		default: // the connection ended before it was told
			w.l.keep(t, false)
		}
	}
}

// manage makes, renames and deletes mailboxes, and asks about some.
func (w *witness) manage() {
	a, b := pick(w.r, passingBoxes), pick(w.r, passingBoxes)
	switch w.r.IntN(5) {
	case 0, 1:
		w.do("CREATE " + a)
	case 2:
		if a != b {
			w.do("RENAME " + a + " " + b)
		}
	case 3:
		if a != w.box {
			w.do("DELETE " + a)
		}
	case 4:
		w.do("STATUS " + pick(w.r, lastingBoxes) + " (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
	}
}

func (w *witness) change(k int) {
	uid, set := w.set()
	flag := []string{`\Seen`, `\Flagged`, `\Answered`, `$Work`, `\Deleted`}[w.r.IntN(5)]
	if keeps(w.box) && flag == `\Deleted` {
		flag = "$Kept"
	}
	sign := []string{"+", "-", "+"}[w.r.IntN(3)]
	other := map[string]string{"A": "B", "B": "A", "K": "L", "L": "K", "R0": "A", "R1": "B", "R2": "A"}[w.box]
	to := pick(w.r, []string{"A", "B"})
	switch {
	case k < 20:
		w.do(fmt.Sprintf("%sSTORE %s %sFLAGS (%s)", uid, set, sign, flag))
	case k < 22 && w.knowsModSeq():
		w.do(fmt.Sprintf("%sSTORE %s (UNCHANGEDSINCE %d) %sFLAGS (%s)", uid, set, w.modseq, sign, flag))
	case k < 25:
		w.do(fmt.Sprintf("%sFETCH %s (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-T)])", uid, set))
	case k < 28 && !keeps(w.box):
		w.do("EXPUNGE")
	case k < 30 && !keeps(w.box):
		w.do(fmt.Sprintf("UID EXPUNGE %d", w.msgs[w.r.IntN(len(w.msgs))].uid))
	case k < 32:
		w.do(fmt.Sprintf("%sCOPY %s %s", uid, set, to))
	case k < 35:
		w.do(fmt.Sprintf("%sMOVE %s %s", uid, set, other))
	case k < 37:
		w.search()
	case k < 38 && !keeps(w.box):
		literal, _ := w.message()
		first, _, _ := strings.Cut(set, ":")
		w.do(fmt.Sprintf("%sREPLACE %s %s %s", uid, first, pick(w.r, []string{w.box, "A", "B"}), literal))
	case k < 39 && !keeps(w.box):
		w.do("CLOSE")
		w.leave()
	default:
		w.do("NOOP")
	}
}

// search asks for all messages; those that are gone already and not yet told are left
// out.
func (w *witness) search() {
	if w.kind == "uidonly" || w.r.IntN(2) == 0 {
		w.do("UID SEARCH ALL")
		return
	}
	before := len(w.msgs)
	lines, end := w.do("SEARCH ALL")
	if end != "OK" {
		return
	}
	for _, l := range lines {
		rest, ok := strings.CutPrefix(l, "* SEARCH")
		if !ok {
			continue
		}
		found := strings.Fields(rest)
		if i := slices.Index(found, "(MODSEQ"); i >= 0 {
			found = found[:i]
		}
		last := 0
		for _, f := range found {
			n, _ := strconv.Atoi(f)
			if n <= last || n > len(w.msgs) {
				w.fault("SEARCH ALL finds %q of %d, %d before", rest, len(w.msgs), before)
			}
			last = n
		}
	}
}

// settle makes the witness know what it can know, and checks that this is what there is.
func (w *witness) settle(truth map[string][]fact) {
	if w.gone {
		w.connect()
	}
	if w.box == "" && !w.selectBox(pick(w.r, lastingBoxes)) {
		return
	}
	w.do("NOOP")
	w.learn()
	if w.gone || w.box == "" {
		return
	}
	known := plainFacts(w.msgs)
	if len(w.msgs) > 0 {
		cmd := "FETCH 1:* (UID FLAGS)"
		if w.kind == "uidonly" {
			cmd = "UID " + cmd
		}
		w.do(cmd)
	}
	if now := plainFacts(w.msgs); !slices.Equal(known, now) {
		w.fault("it knew %v, there is %v", known, now)
	}
	key := w.boxID + "." + w.valid
	if want, ok := truth[key]; ok && !slices.Equal(want, known) {
		w.fault("it knows %v, another %v", known, want)
	}
	truth[key] = known
}

func plainFacts(fs []fact) []fact {
	out := slices.Clone(fs)
	for i := range out {
		out[i].modseq = 0
	}
	return out
}

// A history is a run of the checker.
type history struct {
	t         *testing.T
	h         *house
	l         *ledger
	witnesses []*witness
	saved     map[*witness]checkpoint // of an earlier round, in K
	census    *witness
}

func TestHistories(t *testing.T) {
	long := 4 * time.Second
	if os.Getenv("POSTHOUSE_LONG") != "" {
		long = time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("POSTHOUSE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d", seed)
	s := &history{t: t, h: newHouse(t, Options{AllowPlaintextLogin: true}), saved: map[*witness]checkpoint{},
		l: &ledger{content: map[string]string{}, kept: map[string]bool{}}}
	kinds := []string{"plain", "condstore", "qresync", "uidonly", "rev2"}
	for i := range 20 {
		s.witnesses = append(s.witnesses, &witness{l: s.l, h: s.h, id: i, kind: kinds[i%len(kinds)], next: map[string]int{}, r: rand.New(rand.NewPCG(seed, uint64(i)))})
	}
	s.census = &witness{l: s.l, h: s.h, id: 99, kind: "qresync", next: map[string]int{}, r: rand.New(rand.NewPCG(seed, 99))}
	s.guarded(s.census, func(w *witness) {
		w.connect()
		for _, box := range lastingBoxes {
			w.do("CREATE " + box)
		}
	})
	s.each(func(w *witness) { w.connect() })
	rounds := 0
	for began := time.Now(); time.Since(began) < long && len(s.l.faults) == 0; rounds++ {
		s.each(func(w *witness) {
			for range 25 {
				w.act()
			}
		})
		s.settle()
	}
	for _, w := range append(s.witnesses, s.census) {
		if w.nc != nil {
			w.nc.Close()
		}
	}
	for _, f := range s.l.faults {
		t.Error(f)
	}
	t.Logf("%d rounds, %d steps, %d messages seen, %d kept", rounds, s.l.ops, len(s.l.content), len(s.l.kept))
}

// guarded runs f and survives its faults.
func (s *history) guarded(w *witness, f func(*witness)) {
	defer func() {
		if p := recover(); p != nil {
			if _, ours := p.(stop); !ours {
				panic(p)
			}
		}
	}()
	if len(s.l.faults) == 0 {
		f(w)
	}
}

// each runs f for all witnesses at once.
func (s *history) each(f func(*witness)) {
	var wg sync.WaitGroup
	for _, w := range s.witnesses {
		wg.Go(func() { s.guarded(w, f) })
	}
	wg.Wait()
}

// settle is a pause: nothing changes, and all must agree.
func (s *history) settle() {
	truth := map[string][]fact{}
	for _, w := range s.witnesses {
		s.guarded(w, func(w *witness) { w.settle(truth) })
	}
	s.guarded(s.census, func(w *witness) {
		have := map[string]int{}
		for _, box := range lastingBoxes {
			if !w.selectBox(box) {
				w.fault("%s is not there", box)
			}
			w.compare(truth)
			if keeps(box) && len(w.msgs) > 0 {
				lines, _ := w.do("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-T)])")
				for _, l := range lines {
					if m := tokenRE.FindStringSubmatch(l); m != nil {
						have[m[1]]++
					}
				}
			}
		}
		for token, sure := range s.l.kept {
			if n := have[token]; n > 1 || n < 1 && sure {
				w.fault("message %s is there %d times", token, n)
			}
			delete(have, token)
		}
		if len(have) > 0 {
			w.fault("%v: nobody appended that", slices.Collect(maps.Keys(have)))
		}
		s.long(w, truth)
	})
}

func (w *witness) compare(truth map[string][]fact) {
	if want, ok := truth[w.boxID+"."+w.valid]; ok && !slices.Equal(want, plainFacts(w.msgs)) {
		w.fault("there is %v, others know %v", plainFacts(w.msgs), want)
	}
}

// long resumes from what was known some rounds ago.
func (s *history) long(w *witness, truth map[string][]fact) {
	box := pick(w.r, lastingBoxes)
	w.selectBox(box)
	now := w.state()
	key := &witness{}
	for k, old := range s.saved {
		if old.id == now.id {
			key = k
			w.do("UNSELECT")
			w.resume(box, checkpoint{old.id, old.valid, old.modseq, slices.Clone(old.msgs)})
			w.compare(truth)
			if got := plainFacts(w.msgs); !slices.Equal(got, plainFacts(now.msgs)) {
				w.fault("a resync from %d ends with %v, there is %v", old.modseq, got, now.msgs)
			}
		}
	}
	if w.r.IntN(3) == 0 || len(s.saved) < len(lastingBoxes) {
		s.saved[key] = now
	}
}

var (
	uidFetchRE  = regexp.MustCompile(`^\* (\d+) UIDFETCH \((.*)\)$`)
	tokenRE     = regexp.MustCompile(`X-T: (\d+-\d+)`)
	mailboxIDRE = regexp.MustCompile(`\[MAILBOXID \(([^)]+)\)\]`)
	uidNextRE   = regexp.MustCompile(`UIDNEXT (\d+)`)
)
