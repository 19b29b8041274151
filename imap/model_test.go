package imap

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// A view is a client that believes only what it is told: which message has which
// number, and its flags.
type view struct {
	*client
	kind     string // plain, condstore, qresync, rev2
	tag      int
	msgs     []told
	modseq   uint64 // up to which it knows all
	valid    string
	learning bool
}

type told struct {
	uid   int // 0: not known yet
	flags string
}

var (
	existsRE  = regexp.MustCompile(`^\* (\d+) EXISTS$`)
	expungeRE = regexp.MustCompile(`^\* (\d+) EXPUNGE$`)
	vanishRE  = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([\d:,]+)$`)
	fetchRE   = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
	uidRE     = regexp.MustCompile(`UID (\d+)`)
	flagsRE   = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	modseqRE  = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	highestRE = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	validRE   = regexp.MustCompile(`UIDVALIDITY (\d+)`)
)

// do runs a command, applies what the server says and returns it. byNumber: no
// message may vanish meanwhile.
func (v *view) do(cmd string, byNumber bool) []string {
	v.t.Helper()
	v.tag++
	tag := fmt.Sprintf("t%d", v.tag)
	v.send(tag + " " + cmd + "\r\n")
	lines := v.until(tag + " ")
	for _, l := range lines {
		v.apply(cmd, l, byNumber)
	}
	v.advance(lines)
	if last := lines[len(lines)-1]; strings.HasPrefix(last, tag+" BAD") {
		v.t.Fatalf("%s: %s: %s", v.kind, cmd, last)
	}
	if v.kind == "qresync" && !v.learning && cmd != "UNSELECT" {
		v.learn() // VANISHED names UIDs
	}
	return lines
}

// advance is the rule of RFC 7162 §6: a HIGHESTMODSEQ counts even if higher ones
// were seen, otherwise the highest that was.
func (v *view) advance(lines []string) {
	var code, items uint64
	for _, l := range lines {
		if m := highestRE.FindStringSubmatch(l); m != nil {
			code, _ = strconv.ParseUint(m[1], 10, 64)
		} else if m := modseqRE.FindStringSubmatch(l); m != nil {
			n, _ := strconv.ParseUint(m[1], 10, 64)
			items = max(items, n)
		}
	}
	if code != 0 {
		v.modseq = code
	} else {
		v.modseq = max(v.modseq, items)
	}
}

func (v *view) apply(cmd, l string, byNumber bool) {
	v.t.Helper()
	if m := existsRE.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		if n < len(v.msgs) {
			v.t.Fatalf("%s: %s: EXISTS %d shrinks %d", v.kind, cmd, n, len(v.msgs))
		}
		v.msgs = append(v.msgs, make([]told, n-len(v.msgs))...)
	} else if m := expungeRE.FindStringSubmatch(l); m != nil {
		n, _ := strconv.Atoi(m[1])
		if byNumber || n < 1 || n > len(v.msgs) || v.kind == "qresync" {
			v.t.Fatalf("%s: %s: %s of %d", v.kind, cmd, l, len(v.msgs))
		}
		v.msgs = slices.Delete(v.msgs, n-1, n)
	} else if m := vanishRE.FindStringSubmatch(l); m != nil {
		v.vanished(cmd, m[2], m[1] != "" || !byNumber)
	} else if m := fetchRE.FindStringSubmatch(l); m != nil {
		v.fetched(cmd, l, m)
	} else if m := validRE.FindStringSubmatch(l); m != nil {
		v.valid = m[1]
	}
}

func (v *view) vanished(cmd, set string, allowed bool) {
	v.t.Helper()
	if v.kind != "qresync" || !allowed {
		v.t.Fatalf("%s: %s: VANISHED", v.kind, cmd)
	}
	for r := range strings.SplitSeq(set, ",") {
		lo, hi, ranged := strings.Cut(r, ":")
		a, _ := strconv.Atoi(lo)
		b := a
		if ranged {
			b, _ = strconv.Atoi(hi)
		}
		v.msgs = slices.DeleteFunc(v.msgs, func(m told) bool { return m.uid >= a && m.uid <= b && m.uid != 0 })
	}
}

func (v *view) fetched(cmd, l string, m []string) {
	v.t.Helper()
	n, _ := strconv.Atoi(m[1])
	if n < 1 || n > len(v.msgs) {
		v.t.Fatalf("%s: %s: %s of %d", v.kind, cmd, l, len(v.msgs))
	}
	msg := &v.msgs[n-1]
	if u := uidRE.FindStringSubmatch(m[2]); u != nil {
		uid, _ := strconv.Atoi(u[1])
		if msg.uid != 0 && msg.uid != uid {
			v.t.Fatalf("%s: %s: %s, but it is %d", v.kind, cmd, l, msg.uid)
		}
		msg.uid = uid
	}
	if f := flagsRE.FindStringSubmatch(m[2]); f != nil {
		msg.flags = sortFlags(f[1])
	}
}

func sortFlags(s string) string {
	fs := strings.Fields(strings.ReplaceAll(s, `\Recent`, ""))
	sort.Strings(fs)
	return strings.Join(fs, " ")
}

// learn asks for the messages that are new.
func (v *view) learn() {
	v.learning = true
	defer func() { v.learning = false }()
	for i := 0; i < len(v.msgs); i++ { // while it asks there may be more
		if v.msgs[i].uid == 0 {
			v.do(fmt.Sprintf("FETCH %d:* (UID FLAGS)", i+1), true)
		}
	}
}

// open selects the inbox, from nothing or from what is known.
func (v *view) open() {
	switch v.kind {
	case "condstore":
		v.do("ENABLE CONDSTORE", false)
	case "qresync":
		v.do("ENABLE QRESYNC", false)
	case "rev2":
		v.do("ENABLE IMAP4rev2", false)
	}
	v.reselect()
}

func (v *view) reselect() {
	old := v.msgs
	v.msgs = nil
	if v.kind != "qresync" || v.valid == "" {
		v.do("SELECT INBOX", false)
		v.learn()
		return
	}
	// What VANISHED and FETCH say must lead from what was known to what is there.
	v.tag++
	tag := fmt.Sprintf("t%d", v.tag)
	v.send(fmt.Sprintf("%s SELECT INBOX (QRESYNC (%s %d))\r\n", tag, v.valid, v.modseq))
	lines := v.until(tag + " ")
	var n int
	fresh := map[int]string{}
	for _, l := range lines {
		if m := existsRE.FindStringSubmatch(l); m != nil {
			n, _ = strconv.Atoi(m[1])
		} else if m := vanishRE.FindStringSubmatch(l); m != nil {
			v.msgs = old
			v.vanished("resync", m[2], true)
			old = v.msgs
		} else if m := fetchRE.FindStringSubmatch(l); m != nil {
			uid, _ := strconv.Atoi(uidRE.FindStringSubmatch(m[2])[1])
			fresh[uid] = sortFlags(flagsRE.FindStringSubmatch(m[2])[1])
		}
	}
	for i := range old {
		if f, ok := fresh[old[i].uid]; ok {
			old[i].flags = f
			delete(fresh, old[i].uid)
		}
	}
	for _, uid := range sortedKeys(fresh) {
		old = append(old, told{uid, fresh[uid]})
	}
	v.advance(lines)
	if v.msgs = old; len(old) != n {
		v.t.Fatalf("resync ends with %d messages of %d: %q", len(old), n, lines)
	}
}

func sortedKeys(m map[int]string) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	return keys
}

// act does something at random.
func (v *view) act(r *rand.Rand) {
	n := len(v.msgs)
	if n == 0 {
		v.do("APPEND INBOX {3+}\r\na\r\n", false)
		return
	}
	a, b := 1+r.IntN(n), 1+r.IntN(n)
	a, b = min(a, b), max(a, b)
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, `\Answered`, `$Work`}[r.IntN(5)]
	sign := []string{"+", "-", ""}[r.IntN(3)]
	switch r.IntN(13) {
	case 0, 1, 2:
		v.do(fmt.Sprintf("STORE %d:%d %sFLAGS (%s)", a, b, sign, flag), true)
	case 3:
		v.silent(a, b, sign, flag)
	case 4:
		v.learn()
		v.do(fmt.Sprintf("UID STORE %d:%d %sFLAGS (%s)", v.msgs[a-1].uid, v.msgs[b-1].uid, sign, flag), false)
	case 5:
		v.do("EXPUNGE", false)
	case 6, 7:
		v.do("APPEND INBOX (\\Flagged) {3+}\r\na\r\n", false)
	case 8:
		v.do(fmt.Sprintf("MOVE %d Archive", a), false)
	case 9:
		v.do("SEARCH UNSEEN", true)
		v.do("UID SEARCH ALL", false)
	case 10:
		v.do(fmt.Sprintf("FETCH %d:%d (UID FLAGS BODY[9])", a, b), true)
	case 11:
		v.do("NOOP", false)
	case 12:
		v.do("UNSELECT", false)
		v.reselect()
	}
}

// silent stores without an answer: the client knows the outcome itself, unless
// the server tells it otherwise.
func (v *view) silent(a, b int, sign, flag string) {
	for i := a - 1; i < b; i++ {
		fs := strings.Fields(v.msgs[i].flags)
		fs = slices.DeleteFunc(fs, func(f string) bool { return f == flag })
		switch sign {
		case "":
			fs = []string{flag}
		case "+":
			fs = append(fs, flag)
		}
		v.msgs[i].flags = sortFlags(strings.Join(fs, " "))
	}
	v.do(fmt.Sprintf("STORE %d:%d %sFLAGS.SILENT (%s)", a, b, sign, flag), true)
}

// TestModel: sessions of all kinds change one mailbox in turns; after a NOOP each
// must know exactly what is there.
func TestModel(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	for seed := range uint64(rounds) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { model(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func model(t *testing.T, r *rand.Rand) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	var views []*view
	for _, kind := range []string{"plain", "condstore", "qresync", "rev2", "plain"} {
		v := &view{client: h.client("ada"), kind: kind}
		v.open()
		views = append(views, v)
	}
	for range 12 {
		for range 15 {
			views[r.IntN(len(views))].act(r)
		}
		var truth []told
		for i, v := range views {
			v.do("NOOP", false)
			v.learn()
			known := slices.Clone(v.msgs)
			v.do("FETCH 1:* (UID FLAGS)", true)
			if !slices.Equal(known, v.msgs) {
				t.Fatalf("%s knew %v, there is %v", v.kind, known, v.msgs)
			}
			if i == 0 {
				truth = known
			} else if !slices.Equal(truth, known) {
				t.Fatalf("%s sees %v, another %v", v.kind, known, truth)
			}
		}
	}
}

// TestModelTogether: the same, all at once.
func TestModelTogether(t *testing.T) {
	h := newHouse(t, Options{AllowPlaintextLogin: true})
	var views []*view
	t.Run("change", func(t *testing.T) {
		for i, kind := range []string{"plain", "condstore", "qresync", "rev2", "qresync", "plain"} {
			v := &view{kind: kind}
			views = append(views, v)
			t.Run(fmt.Sprintf("%s%d", kind, i), func(t *testing.T) {
				t.Parallel()
				nc, err := h.login("ada")
				if err != nil {
					t.Fatal(err)
				}
				v.client = &client{t, nc, bufio.NewReader(nc)}
				v.open()
				r := rand.New(rand.NewPCG(uint64(i), 2))
				for range 150 {
					v.act(r)
				}
			})
		}
	})
	var truth []told
	for i, v := range views {
		v.client = newClient(t, v.Conn)
		v.do("NOOP", false)
		v.learn()
		known := slices.Clone(v.msgs)
		v.do("FETCH 1:* (UID FLAGS)", true)
		if !slices.Equal(known, v.msgs) {
			t.Fatalf("%s knew %v, there is %v", v.kind, known, v.msgs)
		}
		if i == 0 {
			truth = known
		} else if !slices.Equal(truth, known) {
			t.Fatalf("%s sees %v, another %v", v.kind, known, truth)
		}
	}
}
