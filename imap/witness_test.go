package imap

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	// user is whose connection it is: ada, to whom the mailboxes belong, or ben, with whom
	// she shares those that last. notify is how it is told of the selected mailbox: "" when
	// it asks, SELECTED-DELAYED or SELECTED at once. squeeze: over COMPRESS.
	user, notify string
	squeeze      bool
	r            *rand.Rand

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
	nc, err := w.h.login(cmp.Or(w.user, "ada"))
	if err == nil && w.squeeze {
		nc, err = compressed(nc)
	}
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
	if w.notify != "" {
		items := "(UID FLAGS)"
		if w.knowsModSeq() {
			items = "(UID FLAGS MODSEQ)"
		}
		w.do("NOTIFY SET (" + w.notify + " (MessageNew " + items + " MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge MailboxName SubscriptionChange))")
	}
}

// name is how it calls a mailbox.
func (w *witness) name(box string) string {
	if w.user == "ben" {
		return `"Other Users/ada@demo.test/` + box + `"`
	}
	return box
}

// byUID: it may not say numbers, for they can change under it (RFC 5465 §3.1).
func (w *witness) byUID() bool { return w.kind == "uidonly" || w.notify == "SELECTED" }

// all asks for something of all messages.
func (w *witness) all(items string) string {
	if w.byUID() {
		return "UID FETCH 1:* " + items
	}
	return "FETCH 1:* " + items
}

func (w *witness) write(s string) {
	w.note("C: " + strings.TrimRight(s, "\r\n"))
	w.nc.SetWriteDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(w.nc, s); err != nil && !w.mayEnd() {
		w.fault("write: %v", err)
	}
}

// mayEnd: the connection may end at any time, since somebody else may have deleted the
// mailbox and NOTIFY tells of it at once.
func (w *witness) mayEnd() bool { return w.notify != "" && strings.HasPrefix(w.box, "R") }

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
			if w.mayEnd() {
				return "* BYE [NONEXISTENT] the connection is closed", true
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
	} else if strings.Contains(l, "[NOTIFICATIONOVERFLOW]") {
		w.gone = true // nothing more would be told
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
	switch {
	case w.kind == "uidonly":
	case w.byUID() && i > 0:
		return fmt.Sprintf("UID FETCH %d:* %s", w.msgs[i-1].uid+1, items)
	case w.byUID():
		return "UID FETCH 1:* " + items
	default:
		return fmt.Sprintf("FETCH %d:* %s", i+1, items)
	}
	return fmt.Sprintf("UID FETCH %d:* %s", w.floor+1, items)
}

// selectBox selects a mailbox with nothing known of it. It reports whether it is there.
func (w *witness) selectBox(box string) bool {
	if w.box != "" && w.notify != "" { // what is said of that one must not be taken for this one
		if w.do("UNSELECT"); w.gone {
			w.connect()
		}
	}
	w.leave()
	w.boxID, w.valid = "", ""
	_, end := w.opened(box, "SELECT "+w.name(box))
	if end != "OK" {
		return false
	}
	w.learn()
	return !w.gone
}

// ofOthers reports a line about a mailbox that is not selected.
func ofOthers(line string) bool { return strings.HasPrefix(line, "* STATUS ") }

func (w *witness) leave() { w.box, w.msgs, w.modseq, w.floor = "", nil, 0, 0 }

// opened runs a command that selects.
func (w *witness) opened(box, cmd string) (lines []string, end string) {
	w.box = box
	lines, end = w.do(cmd)
	if end != "OK" {
		w.leave()
		return lines, end
	}
	lines = slices.DeleteFunc(lines, ofOthers)
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
	} else if w.do("UNSELECT"); w.gone {
		w.connect()
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
	w.write(fmt.Sprintf("%s SELECT %s (QRESYNC (%s))\r\n", tag, w.name(box), params))
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
	w.rebuild(from, slices.DeleteFunc(lines, ofOthers), limited)
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

var (
	uidFetchRE  = regexp.MustCompile(`^\* (\d+) UIDFETCH \((.*)\)$`)
	tokenRE     = regexp.MustCompile(`X-T: (\d+-\d+)`)
	mailboxIDRE = regexp.MustCompile(`\[MAILBOXID \(([^)]+)\)\]`)
	uidNextRE   = regexp.MustCompile(`UIDNEXT (\d+)`)
)
