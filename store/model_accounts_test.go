package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// A second model: several accounts that share mailboxes, hand messages to each other
// and fill the quotas of their domains, by one hand or by many at once. Every operation
// notes its place in the order in which the store took it, which is the one number all
// accounts agree on while they are locked; the model then does the same in that order,
// and each result must be what it says.

type severalMessage struct {
	uid   UID
	email EmailID
	text  int
	flags string // sorted
}

type severalBox struct {
	next UID
	msgs []severalMessage
	acl  map[mail.AccountID]Rights
}

type severalAccount struct {
	domain string
	boxes  [3]*severalBox // of mailboxes 1 to 3
	next   EmailID
}

type several struct {
	accts  map[mail.AccountID]*severalAccount
	quotas map[string]int64
	size   int64 // of each message
}

// A deed is one operation: what the model makes of it, and what the store made of it.
type deed struct {
	what  string
	seq   int64
	got   string
	apply func(m *several) string
}

const severalAccounts = 3

func newSeveral(size int64) *several {
	m := &several{accts: map[mail.AccountID]*severalAccount{}, quotas: map[string]int64{}, size: size}
	for id := range mail.AccountID(severalAccounts) {
		a := &severalAccount{next: 1}
		for i := range a.boxes {
			a.boxes[i] = &severalBox{next: 1, acl: map[mail.AccountID]Rights{}}
		}
		m.accts[id+1] = a
	}
	return m
}

func (a *severalAccount) box(id MailboxID) *severalBox { return a.boxes[id-1] }

func (a *severalAccount) places(e EmailID) (n int) {
	for _, b := range a.boxes {
		for _, x := range b.msgs {
			if x.email == e {
				n++
			}
		}
	}
	return n
}

func (a *severalAccount) emails() int64 {
	seen := map[EmailID]bool{}
	for _, b := range a.boxes {
		for _, x := range b.msgs {
			seen[x.email] = true
		}
	}
	return int64(len(seen))
}

func (m *several) full(domain string, n int) bool {
	var sum int64
	for _, a := range m.accts {
		if a.domain == domain {
			sum += a.emails() * m.size
		}
	}
	q := m.quotas[domain]
	return q > 0 && n > 0 && sum+int64(n)*m.size > q
}

// may says what somebody without a right is told, "" who has them.
func (b *severalBox) may(owner, who mail.AccountID, need Rights) string {
	have := b.acl[who]
	switch {
	case who == owner || have.Has(need):
		return ""
	case have == NoRights:
		return mail.NotFound.String()
	}
	return mail.Denied.String()
}

func (b *severalBox) find(u UIDSet) (found []severalMessage) {
	for _, x := range b.msgs {
		if u.Contains(x.uid) {
			found = append(found, x)
		}
	}
	return found
}

func (b *severalBox) remove(u UIDSet) (gone UIDSet) {
	b.msgs = slices.DeleteFunc(b.msgs, func(x severalMessage) bool {
		if u.Contains(x.uid) {
			gone.Add(x.uid)
			return true
		}
		return false
	})
	return gone
}

// add gives messages their UIDs and says which became which.
func (b *severalBox) add(all []severalMessage) string {
	var from, to UIDSet
	for _, x := range all {
		from.Add(x.uid)
		x.uid = b.next
		to.Add(x.uid)
		b.msgs = append(b.msgs, x)
		b.next++
	}
	return fmt.Sprint(from, to)
}

// A severalRun drives a store and collects deeds.
type severalRun struct {
	t     *testing.T
	s     *Store
	seq   *atomic.Int64
	mu    *sync.Mutex
	deeds *[]*deed
	rnd   *rand.Rand
	texts *atomic.Int64
}

func (x *severalRun) account() mail.AccountID { return mail.AccountID(1 + x.rnd.IntN(severalAccounts)) }

// somebody is the owner as often as not.
func (x *severalRun) somebody(owner mail.AccountID) mail.AccountID {
	if x.rnd.IntN(2) == 0 {
		return owner
	}
	return x.account()
}

func (x *severalRun) box() MailboxID { return MailboxID(1 + x.rnd.IntN(3)) }

func (x *severalRun) uids() UIDSet {
	var set UIDSet
	for range 1 + x.rnd.IntN(2) {
		lo := UID(1 + x.rnd.IntN(35))
		set.AddRange(lo, lo+UID(x.rnd.IntN(12)))
	}
	return set
}

// do runs fn over accounts, and notes the deed.
func (x *severalRun) do(what string, apply func(m *several) string, fn func(txs []*Tx) (string, error), accts ...*Account) {
	d := &deed{what: what, apply: apply}
	err := x.s.update(context.Background(), accts, nil, func(txs []*Tx) (err error) {
		d.seq = x.seq.Add(1) // no other deed of these accounts comes between
		d.got, err = fn(txs)
		return err
	})
	if err != nil {
		d.got = mail.KindOf(err).String()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	*x.deeds = append(*x.deeds, d)
}

func (x *severalRun) of(id, who mail.AccountID) *Account {
	a, err := x.s.Account(context.Background(), id)
	if err != nil {
		x.t.Error(err)
	}
	if id == who {
		return a
	}
	return a.As(Principal{Account: who})
}

func (x *severalRun) append() {
	id := x.account()
	who, box := x.somebody(id), x.box()
	n := int(x.texts.Add(1))
	var flags []mail.Flag
	if who == id && x.rnd.IntN(2) == 0 {
		flags = []mail.Flag{"$a", mail.FlagFlagged}[:1+x.rnd.IntN(2)]
	}
	m, err := x.s.Stage(context.Background())
	if err == nil {
		m.Write([]byte(severalLetter(n)))
		err = m.Finish()
	}
	if err != nil {
		x.t.Error(err)
		return
	}
	defer m.Close()
	x.do(fmt.Sprintf("append %d to %d/%d as %d", n, id, box, who), func(m *several) string {
		a := m.accts[id]
		b := a.box(box)
		if no := b.may(id, who, RightInsert); no != "" {
			return no
		}
		if m.full(a.domain, 1) {
			return mail.OverQuota.String()
		}
		a.next++
		b.add([]severalMessage{{email: a.next - 1, text: n, flags: sorted(flags)}})
		return fmt.Sprint(b.next-1, a.next-1)
	}, func(txs []*Tx) (string, error) {
		got, err := txs[0].Append(box, m, AppendOptions{Flags: flags})
		return fmt.Sprint(got.UID, got.Email), err
	}, x.of(id, who))
}

func (x *severalRun) copyOrMove() {
	id, from, to, uids, move := x.account(), x.box(), x.box(), x.uids(), x.rnd.IntN(2) == 0
	x.do(fmt.Sprintf("copy %d/%d to %d, %v, move %v", id, from, to, uids, move), func(m *several) string {
		a := m.accts[id]
		found := a.box(from).find(uids)
		more := map[EmailID]int{}
		for _, y := range found {
			if more[y.email]++; !move && a.places(y.email)+more[y.email] > MaxMemberships {
				return mail.TooLarge.String()
			}
		}
		said := a.box(to).add(found)
		if move {
			var gone UIDSet
			for _, y := range found {
				gone.Add(y.uid)
			}
			a.box(from).remove(gone)
		}
		return said
	}, func(txs []*Tx) (string, error) {
		do := txs[0].Copy
		if move {
			do = txs[0].Move
		}
		got, err := do(from, to, uids)
		return fmt.Sprint(got.Source, got.Dest), err
	}, x.of(id, id))
}

func (x *severalRun) expunge() {
	id := x.account()
	who, box, uids := x.somebody(id), x.box(), x.uids()
	x.do(fmt.Sprintf("expunge %v of %d/%d as %d", uids, id, box, who), func(m *several) string {
		b := m.accts[id].box(box)
		if no := b.may(id, who, RightExpunge); no != "" {
			return no
		}
		return fmt.Sprint(b.remove(uids))
	}, func(txs []*Tx) (string, error) {
		gone, err := txs[0].Expunge(box, uids)
		return fmt.Sprint(gone), err
	}, x.of(id, who))
}

func (x *severalRun) flag() {
	id, box, uids, f := x.account(), x.box(), x.uids(), []mail.Flag{mail.FlagFlagged, mail.FlagDeleted, "$a"}[x.rnd.IntN(3)]
	x.do(fmt.Sprintf("flag %v of %d/%d %s", uids, id, box, f), func(m *several) string {
		b := m.accts[id].box(box)
		var changed UIDSet
		for i := range b.msgs {
			if y := &b.msgs[i]; uids.Contains(y.uid) && !strings.Contains(y.flags, string(f)) {
				y.flags = sorted(append(flagsIn(y.flags), f))
				changed.Add(y.uid)
			}
		}
		return fmt.Sprint(changed)
	}, func(txs []*Tx) (string, error) {
		changed, _, err := txs[0].SetFlags(box, uids, FlagChange{Op: FlagsAdd, Flags: []mail.Flag{f}})
		return fmt.Sprint(changed), err
	}, x.of(id, id))
}

// transfer hands messages to another account, by its owner.
func (x *severalRun) transfer() {
	from, to := x.account(), x.account()
	if from == to {
		return
	}
	tr := Transfer{From: x.of(from, to), To: x.of(to, to), Source: x.box(), Dest: x.box(), UIDs: x.uids(), Move: x.rnd.IntN(2) == 0}
	need := RightRead
	if tr.Move {
		need |= RightDeleted | RightExpunge
	}
	x.do(fmt.Sprintf("transfer %d/%d to %d/%d, %v, move %v", from, tr.Source, to, tr.Dest, tr.UIDs, tr.Move), func(m *several) string {
		src, a := m.accts[from].box(tr.Source), m.accts[to]
		if no := src.may(from, to, need); no != "" {
			return no
		}
		found := src.find(tr.UIDs)
		if m.full(a.domain, len(found)) {
			return mail.OverQuota.String()
		}
		given := map[EmailID]EmailID{}
		var gone UIDSet
		for i := range found {
			y := &found[i]
			if given[y.email] == 0 {
				given[y.email] = a.next
				a.next++
			}
			y.email = given[y.email]
			gone.Add(y.uid)
		}
		said := a.box(tr.Dest).add(found)
		if tr.Move {
			src.remove(gone)
		}
		return said
	}, func(txs []*Tx) (string, error) {
		got, err := txs[1].take(txs[0], &tr)
		return fmt.Sprint(got.Source, got.Dest), err
	}, tr.From, tr.To)
}

func (x *severalRun) share() {
	id, who, box := x.account(), x.account(), x.box()
	r := []Rights{NoRights, RightLookup, RightLookup | RightRead, RightLookup | RightInsert, AllRights}[x.rnd.IntN(5)]
	if id == who {
		return
	}
	x.do(fmt.Sprintf("share %d/%d with %d: %v", id, box, who, r), func(m *several) string {
		m.accts[id].box(box).acl[who] = r
		return ""
	}, func(txs []*Tx) (string, error) { return "", txs[0].SetACL(box, Grant{Who: who, Rights: r}) }, x.of(id, id))
}

func (x *severalRun) enlist() {
	id, d := x.account(), []string{"", "demo.test", "far.test"}[x.rnd.IntN(3)]
	x.do(fmt.Sprintf("%d is of %s", id, d), func(m *several) string {
		m.accts[id].domain = d
		return ""
	}, func(txs []*Tx) (string, error) { return "", txs[0].SetDomain(mail.Domain(d)) }, x.of(id, id))
}

func (x *severalRun) step() {
	switch x.rnd.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		x.append()
	case 6, 7, 8:
		x.copyOrMove()
	case 9, 10:
		x.expunge()
	case 11, 12:
		x.flag()
	case 13, 14, 15:
		x.transfer()
	case 16, 17:
		x.share()
	case 18:
		x.enlist()
	default:
		x.of(x.account(), 0).evict()
		if err := x.s.Reap(context.Background(), newClock().now().AddDate(0, 0, 60)); err != nil {
			x.t.Error(err)
		}
	}
}

func severalLetter(n int) string {
	return strings.Replace(letter(1_000_000+n), "letter 1", "letter ", 1)
}

func sorted(flags []mail.Flag) string {
	var all []string
	for _, f := range flags {
		all = append(all, string(f))
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}

func flagsIn(s string) (all []mail.Flag) {
	for _, f := range strings.Fields(s) {
		all = append(all, mail.Flag(f))
	}
	return all
}

// check compares the store with the model.
func (m *several) check(t *testing.T, s *Store) {
	t.Helper()
	sums := map[string]int64{}
	for id, want := range m.accts {
		a, err := s.Account(t.Context(), id)
		must(t, err)
		must(t, a.View(t.Context(), func(v *View) error {
			for i, b := range want.boxes {
				if err := b.check(v, MailboxID(i+1)); err != nil {
					t.Errorf("account %d, mailbox %d: %v", id, i+1, err)
				}
			}
			if u := v.Usage(); u.Messages != want.emails() || u.Bytes != want.emails()*m.size {
				t.Errorf("account %d holds %d messages of %d bytes, want %d", id, u.Messages, u.Bytes, want.emails())
			}
			return want.checkPlaces(v)
		}))
		sums[want.domain] += want.emails() * m.size
	}
	for d := range m.quotas {
		if n := s.DomainUsage(mail.Domain(d)); n != sums[d] {
			t.Errorf("%s holds %d, want %d", d, n, sums[d])
		}
	}
}

func (b *severalBox) check(v *View, id MailboxID) error {
	snap, err := v.Snapshot(id)
	if err != nil {
		return err
	}
	if snap.Len() != len(b.msgs) || snap.Mailbox().UIDNext != b.next {
		return fmt.Errorf("%d messages, UIDNext %d; want %d, %d", snap.Len(), snap.Mailbox().UIDNext, len(b.msgs), b.next)
	}
	for i, x := range b.msgs {
		r := snap.Row(i)
		e, err := v.Email(r.Email)
		if err != nil {
			return err
		}
		if r.UID != x.uid || r.Email != x.email || sorted(snap.Flags(r.Flags)) != x.flags || !strings.Contains(string(e.Envelope), fmt.Sprintf("<%d@", 1_000_000+x.text)) {
			return fmt.Errorf("message %d: %+v with %v, want %+v", i, r, snap.Flags(r.Flags), x)
		}
	}
	return nil
}

func (a *severalAccount) checkPlaces(v *View) error {
	want := map[EmailID][]Membership{}
	for i, b := range a.boxes {
		for _, x := range b.msgs {
			want[x.email] = append(want[x.email], Membership{MailboxID(i + 1), x.uid})
		}
	}
	for e := range a.next {
		if got, err := v.Memberships(e); err != nil || !slices.Equal(got, want[e]) {
			return fmt.Errorf("email %d is in %v, %v, want %v", e, got, err, want[e])
		}
	}
	return nil
}

// runSeveral lets hands work in rounds, each followed by a comparison with the model
// and a new start of the store. exact: refusals by quota too are what the model says.
func runSeveral(t *testing.T, eng engine.Engine, seed uint64, hands, rounds, steps int) {
	exact := hands == 1
	open := func() *Store {
		s, err := Open(t.Context(), eng, Options{Now: newClock().now})
		must(t, err)
		s.maxTail = tail{12, 1 << 16}
		return s
	}
	s := open()
	m := newSeveral(int64(len(severalLetter(1))))
	for id := range m.accts {
		newTestAccount(t, s, id)
	}
	var seq, texts atomic.Int64
	texts.Store(100_000) // one length for all
	m.size = int64(len(severalLetter(100_000)))
	for round := range rounds {
		if round == 1 {
			m.quotas["demo.test"], m.quotas["far.test"] = 40*m.size, 25*m.size
		}
		for d, q := range m.quotas {
			must(t, s.SetDomainQuota(t.Context(), mail.Domain(d), q))
		}
		var mu sync.Mutex
		var deeds []*deed
		var wg sync.WaitGroup
		for h := range hands {
			x := &severalRun{t: t, s: s, seq: &seq, mu: &mu, deeds: &deeds, rnd: rand.New(rand.NewPCG(seed, uint64(round*100+h))), texts: &texts}
			wg.Go(func() {
				for range steps / hands {
					x.step()
				}
			})
		}
		wg.Wait()
		slices.SortFunc(deeds, func(a, b *deed) int { return int(a.seq - b.seq) })
		for _, d := range deeds {
			if !exact && d.got == mail.OverQuota.String() {
				continue // what others were about to add counted
			}
			quotas := m.quotas
			if !exact {
				m.quotas = nil
			}
			if want := d.apply(m); want != d.got {
				t.Fatalf("round %d, %s: %s, want %s", round, d.what, d.got, want)
			}
			m.quotas = quotas
		}
		m.check(t, s)
		checkStore(t, s)
		must(t, s.Close())
		s = open()
		m.check(t, s)
	}
	checkStore(t, s)
	must(t, s.Close())
}

// severalRounds is how many seeds are tried, and until when at most.
func severalRounds() (seeds uint64, end time.Time) {
	if os.Getenv("POSTHOUSE_LONG") != "" {
		return 1000, time.Now().Add(3 * time.Minute)
	}
	return 10, time.Now().Add(time.Minute)
}

func TestModelAccounts(t *testing.T) {
	seeds, end := severalRounds()
	for seed := range seeds {
		if time.Now().After(end) {
			break
		}
		runSeveral(t, mem.New(), seed, 1, 4, 150)
	}
}

// Many hands at once.
func TestModelAccountsAtOnce(t *testing.T) {
	seeds, end := severalRounds()
	for seed := range seeds {
		if time.Now().After(end) {
			break
		}
		runSeveral(t, mem.New(), seed, 6, 4, 240)
	}
	eng, err := local.Open(t.Context(), local.Options{Dir: t.TempDir(), SegmentSize: 4 << 20, MinFree: -1, Reserve: -1})
	must(t, err)
	runSeveral(t, eng, 99, 6, 2, 240)
	must(t, eng.Close())
}
