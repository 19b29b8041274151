package imap

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// The history checker: many connections do at random what clients do to the same
// mailboxes, at once. Each believes only what it is told, and looks whether the protocol
// allows to tell it; whenever all pause, each must know exactly what is there.
//
// A and B: anything goes. K and L: messages come by APPEND and go from one to the other by
// MOVE, so that each must be there once, for ever. R0 to R2 are made, renamed and deleted
// under those who use them. Some of the clients are of another account, with which the
// first four are shared; some are told of all at once (NOTIFY), some speak compressed.

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

// boxes that are always there, and those that come and go.
var lastingBoxes, passingBoxes = []string{"A", "B", "K", "L"}, []string{"R0", "R1", "R2"}

func keeps(box string) bool { return box == "K" || box == "L" }

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// set names some messages, for a command by number or by UID.
func (w *witness) set() (uid, set string) {
	n := len(w.msgs)
	a := w.r.IntN(n)
	b := min(n-1, a+w.r.IntN(4))
	if w.byUID() || w.r.IntN(2) == 0 {
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
		w.selectBox(w.any())
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
		w.selectBox(w.any())
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
	cmd, tokens := "APPEND "+w.name(box)+` (\Flagged) `+literal, []string{token}
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

// any is a mailbox to go to.
func (w *witness) any() string {
	if w.user == "ben" {
		return pick(w.r, lastingBoxes)
	}
	return pick(w.r, append(slices.Clone(lastingBoxes), passingBoxes...))
}

// manage makes, renames and deletes mailboxes, and asks about some.
func (w *witness) manage() {
	a, b := pick(w.r, passingBoxes), pick(w.r, passingBoxes)
	k := w.r.IntN(5)
	if w.user == "ben" {
		k = 4
	}
	switch k {
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
		w.do("STATUS " + w.name(pick(w.r, lastingBoxes)) + " (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
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
		w.do(fmt.Sprintf("%sCOPY %s %s", uid, set, w.name(to)))
	case k < 35:
		w.do(fmt.Sprintf("%sMOVE %s %s", uid, set, w.name(other)))
	case k < 37:
		w.search()
	case k < 38 && !keeps(w.box):
		literal, _ := w.message()
		first, _, _ := strings.Cut(set, ":")
		w.do(fmt.Sprintf("%sREPLACE %s %s %s", uid, first, w.name(pick(w.r, []string{w.box, "A", "B"})), literal))
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
	if w.byUID() || w.r.IntN(2) == 0 {
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
	if w.box == "" {
		if box := pick(w.r, lastingBoxes); !w.selectBox(box) {
			w.fault("%s cannot be selected", w.name(box))
		}
	}
	w.do("NOOP")
	w.learn()
	if w.gone || w.box == "" {
		return
	}
	known := plainFacts(w.msgs)
	if len(w.msgs) > 0 {
		w.do(w.all("(UID FLAGS)"))
	}
	if now := plainFacts(w.msgs); !slices.Equal(known, now) {
		w.fault("it knew %v, there is %v", known, now)
	}
	key := w.truth()
	if want, ok := truth[key]; ok && !slices.Equal(want, known) {
		w.fault("it knows %v, another %v", known, want)
	}
	truth[key] = known
}

// truth names what all who see the same must know: what somebody has seen of a shared
// mailbox is his own matter.
func (w *witness) truth() string { return w.boxID + "." + w.valid + "." + w.user }

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
	t.Run("mem", func(t *testing.T) { histories(t, mem.New()) })
	t.Run("local", func(t *testing.T) {
		eng, err := local.Open(t.Context(), local.Options{Dir: t.TempDir(), MinFree: -1})
		if err != nil {
			t.Fatal(err)
		}
		histories(t, eng)
	})
}

// recruit makes the clients: in five dialects, every third of ben, every fourth told at
// once and every fifth when it suits, half of them compressed.
func (s *history) recruit(seed uint64) {
	kinds := []string{"plain", "condstore", "qresync", "uidonly", "rev2"}
	for i := range 20 {
		w := &witness{l: s.l, h: s.h, id: i, kind: kinds[i%len(kinds)], user: "ada", squeeze: i%2 == 1, next: map[string]int{}, r: rand.New(rand.NewPCG(seed, uint64(i)))}
		if i%3 == 2 {
			w.user = "ben"
		}
		switch i % 9 {
		case 1, 3, 8:
			w.notify = "SELECTED"
		case 4, 6, 2:
			w.notify = "SELECTED-DELAYED"
		}
		s.witnesses = append(s.witnesses, w)
	}
	s.census = &witness{l: s.l, h: s.h, id: 99, kind: "qresync", user: "ada", next: map[string]int{}, r: rand.New(rand.NewPCG(seed, 99))}
}

func histories(t *testing.T, eng engine.Engine) {
	long, seed, acts := 3*time.Second, uint64(1), 12
	if os.Getenv("POSTHOUSE_LONG") != "" {
		long, seed, acts = time.Minute, uint64(time.Now().UnixNano()), 25
	}
	if s := os.Getenv("POSTHOUSE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d", seed)
	s := &history{t: t, h: newHouseOver(t, eng, Options{AllowPlaintextLogin: true}), saved: map[*witness]checkpoint{},
		l: &ledger{content: map[string]string{}, kept: map[string]bool{}}}
	s.recruit(seed)
	s.guarded(s.census, func(w *witness) {
		w.connect()
		for _, box := range lastingBoxes {
			w.do("CREATE " + box)
			w.do("SETACL " + box + " ben lrswipkxtea")
		}
	})
	s.each(func(w *witness) { w.connect() })
	rounds := 0
	for began := time.Now(); time.Since(began) < long && len(s.l.faults) == 0; rounds++ {
		s.each(func(w *witness) {
			for range acts {
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
	if want, ok := truth[w.truth()]; ok && !slices.Equal(want, plainFacts(w.msgs)) {
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
