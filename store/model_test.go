package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/local"
	"posthouse/store/engine/mem"
)

// The model is the store written without any cleverness: maps and slices.

type modelMessage struct {
	uid    UID
	flags  map[string]bool // lower case
	size   int64
	date   int64
	modseq ModSeq
	email  EmailID
}

type modelBox struct {
	id       MailboxID
	noselect bool
	validity uint32
	next     UID
	msgs     []modelMessage
	gone     map[UID]ModSeq // of this UIDVALIDITY
	rights   Rights         // of the guest
	theirs   map[UID]seenState
}

type model struct {
	boxes    map[string]*modelBox
	subs     map[string]bool
	modseq   ModSeq
	validity uint32
	text     map[EmailID]string
	dead     []modelDead // not reaped, oldest first
	now      int64
	notes    map[modelNote]string
	times    []int64 // of each ModSeq, from the first
	letters  map[modelLetterNote]string
	history  []modelPast // of each ModSeq
}

// modelDead is a message that was expunged.
type modelDead struct {
	at  int64
	box MailboxID
	msg modelMessage
}

func (m *model) clone() *model {
	c := &model{boxes: map[string]*modelBox{}, subs: maps.Clone(m.subs), modseq: m.modseq, validity: m.validity, text: maps.Clone(m.text), dead: slices.Clone(m.dead), times: slices.Clip(m.times), notes: maps.Clone(m.notes),
		letters: maps.Clone(m.letters), history: slices.Clip(m.history)}
	for p, b := range m.boxes {
		n := *b
		n.msgs = slices.Clone(b.msgs)
		for i := range n.msgs {
			n.msgs[i].flags = maps.Clone(n.msgs[i].flags)
		}
		n.gone = maps.Clone(b.gone)
		n.theirs = maps.Clone(b.theirs)
		c.boxes[p] = &n
	}
	return c
}

func (b *modelBox) get(u UID) *modelMessage {
	for i := range b.msgs {
		if b.msgs[i].uid == u {
			return &b.msgs[i]
		}
	}
	return nil
}

// held is a snapshot that a session keeps while the mailbox goes on.
type held struct {
	id   MailboxID
	snap *Snapshot
	rows []Row
}

// machine drives a store and its model.
type machine struct {
	t     *rapid.T
	eng   engine.Engine
	id    mail.AccountID
	open  func(eng engine.Engine) *Store
	opts  Options
	s     *Store
	a     *Account
	m     *model
	held  []held
	clock *testClock
	count int
}

var modelFlags = []mail.Flag{mail.FlagSeen, mail.FlagDeleted, mail.FlagFlagged, "$Work", "$work", "Later", "$Forwarded"}
var modelPaths = []string{"INBOX", restoredPath, "inbox", "a", "a/b", "a/b/c", "b", "INBOX/x", "z z", "a.b", "ü", "Inbox/y"}

func (x *machine) path(label string) string { return rapid.SampledFrom(modelPaths).Draw(x.t, label) }

func (x *machine) box(label string) (*modelBox, MailboxID) {
	keys := slices.Sorted(maps.Keys(x.m.boxes))
	b := x.m.boxes[rapid.SampledFrom(keys).Draw(x.t, label)]
	return b, b.id
}

func (x *machine) uids(b *modelBox) UIDSet {
	var set UIDSet
	for range rapid.IntRange(0, 4).Draw(x.t, "ranges") {
		lo := rapid.IntRange(1, int(b.next)+2).Draw(x.t, "lo")
		set.AddRange(UID(lo), UID(lo+rapid.IntRange(0, 8).Draw(x.t, "span")))
	}
	return set
}

func (x *machine) flags() []mail.Flag {
	return rapid.SliceOfN(rapid.SampledFrom(modelFlags), 0, 3).Draw(x.t, "flags")
}

func lowered(flags []mail.Flag) map[string]bool {
	m := map[string]bool{}
	for _, f := range flags {
		m[strings.ToLower(string(f))] = true
	}
	return m
}

// update runs fn; the model changes only if it succeeds.
func (x *machine) update(fn func(tx *Tx, m *model) error) error {
	next := x.m.clone()
	next.modseq++
	next.now = x.clock.t.Unix()
	err := x.a.Update(context.Background(), func(tx *Tx) error { return fn(tx, next) })
	if err == nil {
		next.modseq = x.modseq()
		for len(next.times) <= int(next.modseq) {
			next.times = append(next.times, next.now)
		}
		for len(next.history) <= int(next.modseq) {
			next.history = append(next.history, next.past())
		}
		x.m = next
	}
	return err
}

func (x *machine) modseq() (m ModSeq) {
	x.view(func(v *View) { m = v.ModSeq() })
	return m
}

func (x *machine) view(fn func(v *View)) {
	if err := x.a.View(context.Background(), func(v *View) error { fn(v); return nil }); err != nil {
		x.t.Fatal(err)
	}
}

func (x *machine) kind(err error, want bool, kinds ...mail.Kind) {
	if want && !slices.Contains(kinds, mail.KindOf(err)) || !want && err != nil {
		x.t.Fatalf("error %v, want one: %v of %v", err, want, kinds)
	}
}

var errStop = errors.New("stop")

func (m *model) add(b *modelBox, from modelMessage) UID {
	from.uid, from.modseq = b.next, m.modseq
	from.flags = maps.Clone(from.flags)
	b.next++
	b.msgs = append(b.msgs, from)
	return from.uid
}

func (m *model) byID(id MailboxID) *modelBox {
	for _, b := range m.boxes {
		if b.id == id {
			return b
		}
	}
	return nil
}

func (x *machine) Append(t *rapid.T) {
	x.t = t
	_, id := x.box("box")
	n := rapid.IntRange(1, 4).Draw(t, "n")
	abort := rapid.IntRange(0, 5).Draw(t, "abort") == 0
	noselect := x.m.byID(id).noselect
	err := x.update(func(tx *Tx, m *model) error {
		b := m.byID(id)
		for range n {
			x.count++
			text := letter(x.count % 7)
			s, err := x.s.Stage(context.Background())
			if err != nil {
				return err
			}
			defer s.Close()
			s.Write([]byte(text))
			s.Finish()
			flags := x.flags()
			got, err := tx.Append(id, s, AppendOptions{Flags: flags})
			if err != nil {
				return err
			}
			want := m.add(b, modelMessage{flags: lowered(flags), size: int64(len(text)), date: x.clock.t.Unix(), email: got.Email})
			m.text[got.Email] = text
			if got.UID != want || got.UIDValidity != b.validity {
				return fmt.Errorf("appended as %+v, want UID %d", got, want)
			}
		}
		if abort {
			return errStop
		}
		return nil
	})
	if abort && errors.Is(err, errStop) {
		return
	}
	x.kind(err, noselect, mail.NotFound)
}

func (x *machine) SetFlags(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	set, flags := x.uids(b), x.flags()
	c := FlagChange{Op: FlagOp(rapid.IntRange(0, 2).Draw(t, "op")), Flags: flags}
	if c.Conditional = rapid.Bool().Draw(t, "cond"); c.Conditional {
		c.UnchangedSince = ModSeq(rapid.IntRange(0, int(x.m.modseq)).Draw(t, "since"))
	}
	abort := rapid.IntRange(0, 5).Draw(t, "abort") == 0
	err := x.update(func(tx *Tx, m *model) error {
		changed, modified, err := tx.SetFlags(id, set, c)
		if err != nil {
			return err
		}
		var wantChanged, wantModified UIDSet
		b := m.byID(id)
		for i := range b.msgs {
			p := &b.msgs[i]
			if !set.Contains(p.uid) {
				continue
			}
			if c.Conditional && p.modseq > c.UnchangedSince {
				wantModified.Add(p.uid)
				continue
			}
			next := maps.Clone(p.flags)
			if c.Op == FlagsReplace {
				next = map[string]bool{}
			}
			for f := range lowered(flags) {
				if c.Op == FlagsRemove {
					delete(next, f)
				} else {
					next[f] = true
				}
			}
			if !maps.Equal(next, p.flags) {
				p.flags, p.modseq = next, m.modseq
				wantChanged.Add(p.uid)
			}
		}
		if !slices.Equal(changed, wantChanged) || !slices.Equal(modified, wantModified) {
			return fmt.Errorf("changed %v modified %v, want %v and %v", changed, modified, wantChanged, wantModified)
		}
		if abort {
			return errStop
		}
		return nil
	})
	if abort && errors.Is(err, errStop) {
		return
	}
	x.kind(err, b.noselect, mail.NotFound)
}

func (m *model) expunge(b *modelBox, set UIDSet) (gone UIDSet) {
	b.msgs = slices.DeleteFunc(b.msgs, func(p modelMessage) bool {
		if !set.Contains(p.uid) {
			return false
		}
		gone.Add(p.uid)
		b.gone[p.uid] = m.modseq
		m.dead = append(m.dead, modelDead{m.now, b.id, p})
		return true
	})
	return gone
}

func (x *machine) Expunge(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	set := x.uids(b)
	err := x.update(func(tx *Tx, m *model) error {
		got, err := tx.Expunge(id, set)
		if err != nil {
			return err
		}
		if want := m.expunge(m.byID(id), set); !slices.Equal(got, want) {
			return fmt.Errorf("expunged %v, want %v", got, want)
		}
		return nil
	})
	x.kind(err, b.noselect, mail.NotFound)
}

func (x *machine) CopyOrMove(t *rapid.T) {
	x.t = t
	b, from := x.box("from")
	d, to := x.box("to")
	set := x.uids(b)
	move := rapid.Bool().Draw(t, "move")
	err := x.update(func(tx *Tx, m *model) error {
		var got Copied
		var err error
		if move {
			got, err = tx.Move(from, to, set)
		} else {
			got, err = tx.Copy(from, to, set)
		}
		if err != nil {
			return err
		}
		src, dest := m.byID(from), m.byID(to)
		var s, d UIDSet
		for _, p := range slices.Clone(src.msgs) {
			if set.Contains(p.uid) {
				s.Add(p.uid)
				u := m.add(dest, p)
				d.Add(u)
				m.noteAgain(Membership{from, p.uid}, Membership{to, u}, func(user mail.AccountID) bool { return move || user == 0 || user == x.id })
			}
		}
		if move {
			m.expunge(src, s)
		}
		if !slices.Equal(got.Source, s) || !slices.Equal(got.Dest, d) || got.UIDValidity != dest.validity {
			return fmt.Errorf("copied %+v, want %v to %v", got, s, d)
		}
		return nil
	})
	x.kind(err, b.noselect || d.noselect, mail.NotFound)
}

func (x *machine) fresh(m *model) uint32 {
	m.validity = max(m.validity+1, uint32(x.clock.t.Unix()))
	return m.validity
}

// create makes path and what is missing above it.
func (x *machine) create(v *View, m *model, path string) {
	if up := parentPath(path); up != "" && m.boxes[up] == nil {
		x.create(v, m, up)
	}
	b := m.boxes[path]
	if b == nil {
		b = &modelBox{next: 1}
		m.boxes[path] = b
	}
	mb, err := v.Mailbox(path)
	if err != nil {
		x.t.Fatalf("%s not made: %v", path, err)
	}
	*b = modelBox{id: mb.ID, next: b.next, validity: x.fresh(m), gone: map[UID]ModSeq{}, theirs: map[UID]seenState{}}
	if up := m.boxes[parentPath(path)]; up != nil {
		b.rights = up.rights
	}
}

func (x *machine) Create(t *rapid.T) {
	x.t = t
	path := x.path("path")
	clean := cleanPath(path)
	old := x.m.boxes[clean]
	err := x.update(func(tx *Tx, m *model) error {
		_, err := tx.CreateMailbox(NewMailbox{Path: path})
		if err == nil {
			x.create(&tx.View, m, clean)
		}
		return err
	})
	x.kind(err, old != nil && !old.noselect, mail.Exists)
}

// prune drops NoSelect names without children.
func (m *model) prune() {
	for again := true; again; {
		again = false
		for p, b := range m.boxes {
			if b.noselect && !m.hasChildren(p) {
				delete(m.boxes, p)
				again = true
			}
		}
	}
}

func (m *model) hasChildren(path string) bool {
	for p := range m.boxes {
		if isBelow(p, path) {
			return true
		}
	}
	return false
}

func (x *machine) Delete(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	inbox := x.m.boxes["INBOX"] == b
	err := x.update(func(tx *Tx, m *model) error {
		if err := tx.DeleteMailbox(id); err != nil {
			return err
		}
		b := m.byID(id)
		m.expunge(b, UIDSet{{1, 1<<32 - 1}})
		b.noselect, b.rights = true, 0
		clear(b.theirs)
		maps.DeleteFunc(m.notes, func(n modelNote, _ string) bool { return n.box == id })
		m.prune()
		return nil
	})
	x.kind(err, inbox || b.noselect, mail.Denied)
}

func (x *machine) Rename(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	path := cleanPath(x.path("to"))
	var old string
	for p, o := range x.m.boxes {
		if o == b {
			old = p
		}
	}
	bad := x.m.boxes[path] != nil || isBelow(path, old) && old != "INBOX"
	err := x.update(func(tx *Tx, m *model) error {
		if err := tx.RenameMailbox(id, path); err != nil {
			return err
		}
		if old == "INBOX" {
			x.create(&tx.View, m, path)
			src := m.boxes[old]
			for _, p := range src.msgs {
				m.noteAgain(Membership{id, p.uid}, Membership{m.boxes[path].id, m.add(m.boxes[path], p)}, everybody)
			}
			m.expunge(src, UIDSet{{1, 1<<32 - 1}})
			return nil
		}
		if up := parentPath(path); up != "" && m.boxes[up] == nil {
			x.create(&tx.View, m, up)
		}
		for p, o := range maps.Clone(m.boxes) {
			if p == old || isBelow(p, old) {
				delete(m.boxes, p)
				m.boxes[path+p[len(old):]] = o
			}
		}
		m.prune()
		return nil
	})
	x.kind(err, bad, mail.Exists, mail.Invalid)
}

func (x *machine) Subscribe(t *rapid.T) {
	x.t = t
	path, on := x.path("path"), rapid.Bool().Draw(t, "on")
	err := x.update(func(tx *Tx, m *model) error {
		if on {
			m.subs[cleanPath(path)] = true
		} else {
			delete(m.subs, cleanPath(path))
		}
		return tx.Subscribe(path, on)
	})
	x.kind(err, false)
}

func (x *machine) Hold(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	if b.noselect {
		return
	}
	x.view(func(v *View) {
		snap, err := v.Snapshot(id)
		if err != nil {
			t.Fatal(err)
		}
		x.held = append(x.held, held{id, snap, rowsOf(snap)})
	})
}

func rowsOf(s *Snapshot) []Row {
	var rows []Row
	for _, r := range s.Rows(0, s.Len()) {
		rows = append(rows, r)
	}
	return rows
}

func (x *machine) Evict(t *rapid.T) { x.a.evict() }

func (x *machine) Tick(t *rapid.T) { x.clock.t = x.clock.t.Add(1 << 30 * 7) }

func (x *machine) Reap(t *rapid.T) {
	if err := x.s.Reap(context.Background(), x.clock.t.Add(1e9)); err != nil {
		t.Fatal(err)
	}
	x.m.dead = nil
	x.m.forget()
}

func (x *machine) Reopen(t *rapid.T) {
	x.t = t
	if rapid.Bool().Draw(t, "clean") {
		if err := x.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	x.reopen()
}

func (x *machine) reopen() {
	x.s = x.open(x.eng)
	var err error
	if x.a, err = x.s.Account(context.Background(), x.id); err != nil {
		x.t.Fatal(err)
	}
	x.held = nil
}

// Check compares everything with the model.
func (x *machine) Check(t *rapid.T) {
	x.t = t
	x.view(func(v *View) {
		if v.ModSeq() != x.m.modseq {
			t.Fatalf("ModSeq %d, want %d", v.ModSeq(), x.m.modseq)
		}
		paths := slices.SortedFunc(maps.Keys(x.m.boxes), comparePaths)
		var got []string
		for _, mb := range v.Mailboxes() {
			got = append(got, mb.Path)
		}
		if !slices.Equal(got, paths) {
			t.Fatalf("mailboxes %q, want %q", got, paths)
		}
		if want := slices.SortedFunc(maps.Keys(x.m.subs), comparePaths); !slices.Equal(v.Subscriptions(), want) {
			t.Fatalf("subscriptions %q, want %q", v.Subscriptions(), want)
		}
		for p, b := range x.m.boxes {
			x.checkBox(v, p, b)
		}
		x.checkHeld(v)
		x.checkFloor(v)
		x.checkNotes(v)
		x.checkUsage(v)
		x.checkDeltas(v)
		x.checkMembers(v)
	})
	x.checkGuest()
	x.s.checkOnce(t, x.id)
}

func (s *Store) checkOnce(t *rapid.T, id mail.AccountID) {
	if err := s.checkAccount(context.Background(), id, true, func(id mail.AccountID, p string) { t.Errorf("check: account %d: %s", id, p) }); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

func (x *machine) checkBox(v *View, path string, b *modelBox) {
	t := x.t
	mb, err := v.Mailbox(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Mailbox{ID: b.id, Parent: mb.Parent, Path: path, NoSelect: b.noselect, Subscribed: x.m.subs[path], HasChildren: x.m.hasChildren(path),
		UIDValidity: b.validity, UIDNext: b.next, HighestModSeq: mb.HighestModSeq, Messages: uint32(len(b.msgs))}
	for _, p := range b.msgs {
		want.Bytes += p.size
		if !p.flags[`\seen`] {
			want.Unseen++
		}
		if p.flags[`\deleted`] {
			want.Deleted++
			want.DeletedBytes += p.size
		}
	}
	if *mb != want {
		t.Fatalf("mailbox %+v, want %+v", *mb, want)
	}
	if b.noselect {
		return
	}
	snap, err := v.Snapshot(b.id)
	if err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(snap)
	for i, p := range b.msgs {
		r := rows[i]
		have := map[string]bool{}
		for _, f := range strings.Fields(snap.FlagText(r.Flags)) {
			have[strings.ToLower(f)] = true
		}
		if r.UID != p.uid || r.ModSeq != p.modseq || int64(r.Size) != p.size || r.InternalDate != p.date || r.Email != p.email || !maps.Equal(have, p.flags) {
			t.Fatalf("%s: row %+v %v, want %+v", path, r, have, p)
		}
		if j, ok := snap.Search(p.uid); !ok || j != i || snap.UID(i) != p.uid {
			t.Fatalf("UID %d found at %d, want %d", p.uid, j, i)
		}
	}
	x.checkVanished(v, b)
}

func (x *machine) checkVanished(v *View, b *modelBox) {
	since := ModSeq(rapid.IntRange(0, int(x.m.modseq)).Draw(x.t, "vanished since"))
	got, err := v.Vanished(b.id, since)
	if err != nil {
		x.t.Fatal(err)
	}
	var want UIDSet
	for u, m := range b.gone {
		if m > since {
			want.Add(u)
		}
	}
	if mb, _ := v.MailboxByID(b.id); since < v.st.hdr.floor && since < mb.HighestModSeq { // the log is gone: all that is not there
		want = nil
		for u := UID(1); u < b.next; u++ {
			if b.get(u) == nil {
				want.Add(u)
			}
		}
	}
	if !slices.Equal(got, want) {
		x.t.Fatalf("vanished since %d: %v, want %v", since, got, want)
	}
}

// checkHeld: a kept snapshot never changes, and Diff leads to the present.
func (x *machine) checkHeld(v *View) {
	for _, h := range x.held {
		if !slices.Equal(rowsOf(h.snap), h.rows) {
			x.t.Fatalf("a kept snapshot changed")
		}
		now, err := v.Snapshot(h.id)
		if err != nil || now.Mailbox().UIDValidity != h.snap.Mailbox().UIDValidity {
			continue
		}
		d := Diff(h.snap, now)
		var want Difference
		for _, r := range h.rows {
			if i, ok := now.Search(r.UID); !ok {
				want.Expunged.Add(r.UID)
			} else if o := now.Row(i); o.Flags != r.Flags || o.ModSeq != r.ModSeq {
				want.Changed.Add(r.UID)
			}
		}
		for _, r := range rowsOf(now) {
			if _, ok := h.snap.Search(r.UID); !ok {
				want.Added.Add(r.UID)
			}
		}
		if !slices.Equal(d.Expunged, want.Expunged) || !slices.Equal(d.Changed, want.Changed) || !slices.Equal(d.Added, want.Added) {
			x.t.Fatalf("diff %+v, want %+v", d, want)
		}
	}
}

func newMachine(t *rapid.T, eng engine.Engine, id mail.AccountID) *machine {
	x := &machine{t: t, eng: eng, id: id, clock: newClock()}
	x.opts = Options{Now: x.clock.now}
	if rapid.Bool().Draw(t, "short log") {
		x.opts.LogAge, x.opts.LogTransactions = 30*time.Second, rapid.IntRange(1, 12).Draw(t, "log kept")
	}
	x.open = func(eng engine.Engine) *Store {
		s, err := Open(context.Background(), eng, x.opts)
		if err != nil {
			t.Fatal(err)
		}
		s.maxTail = tail{rapid.IntRange(1, 20).Draw(t, "max tail"), 1 << 16}
		return s
	}
	x.s = x.open(eng)
	x.m = &model{boxes: map[string]*modelBox{}, subs: map[string]bool{}, text: map[EmailID]string{}, notes: map[modelNote]string{}, letters: map[modelLetterNote]string{}}
	if err := x.s.Update(context.Background(), []mail.AccountID{x.id}, nil, func(txs []*Tx) error {
		if err := txs[0].CreateAccount(nil); err != nil {
			return err
		}
		x.create(&txs[0].View, x.m, "INBOX")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	x.reopen()
	x.m.modseq = x.modseq()
	x.m.history = append(make([]modelPast, x.m.modseq), x.m.past())
	return x
}

func TestModel(t *testing.T) {
	runModel(t, func() engine.Engine { return mem.New() })
}

// TestModelLocal runs all machines in one store on disk, each in its own account.
func TestModelLocal(t *testing.T) {
	o := local.Options{Dir: t.TempDir(), SegmentSize: 4 << 20, MinFree: -1, Reserve: -1}
	eng, err := local.Open(t.Context(), o)
	must(t, err)
	runModel(t, func() engine.Engine { return eng })
	for range 2 { // once more after the engine was opened again
		s, err := Open(t.Context(), eng, Options{})
		must(t, err)
		checkStore(t, s)
		must(t, s.Close())
		must(t, eng.Check(t.Context(), true, func(p string) { t.Error(p) }))
		must(t, eng.Close())
		eng, err = local.Open(t.Context(), o)
		must(t, err)
	}
	must(t, eng.Close())
}

func runModel(t *testing.T, open func() engine.Engine) {
	id := mail.AccountID(0)
	rapid.Check(t, func(t *rapid.T) {
		id++
		x := newMachine(t, open(), id)
		t.Repeat(map[string]func(*rapid.T){
			"":           x.Check,
			"append":     x.Append,
			"append2":    x.Append,
			"setflags":   x.SetFlags,
			"setflags2":  x.SetFlags,
			"expunge":    x.Expunge,
			"copyOrMove": x.CopyOrMove,
			"create":     x.Create,
			"delete":     x.Delete,
			"rename":     x.Rename,
			"subscribe":  x.Subscribe,
			"hold":       x.Hold,
			"evict":      x.Evict,
			"tick":       x.Tick,
			"reap":       x.Reap,
			"undelete":   x.Undelete,
			"annotate":   x.Annotate,
			"reopen":     x.Reopen,
			"share":      x.Share,
			"guest":      x.GuestFlags,
			"guest2":     x.GuestFlags,
			"guestMove":  x.GuestCopyOrMove,
			"guestOther": x.GuestOther,
			"mailboxes":  x.SetMailboxes,
			"keywords":   x.SetEmailFlags,
			"note":       x.AnnotateMessage,
		})
		x.reopen()
		x.Check(t)
	})
}
