package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"posthouse/mail"
)

// modelGuest uses the mailboxes of the model's account.
const modelGuest = mail.AccountID(1 << 40)

// as is a handle of the guest.
func (x *machine) as() *Account { return x.a.As(Principal{Account: modelGuest}) }

// guestUpdate is update by the guest.
func (x *machine) guestUpdate(fn func(tx *Tx, m *model) error) error {
	owner := x.a
	x.a = x.as()
	defer func() { x.a = owner }()
	return x.update(fn)
}

// Share gives the guest other rights on a mailbox.
func (x *machine) Share(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	r, _ := ParseRights(rapid.SampledFrom([]string{"", "lr", "lrs", "lrswite", "lrw", "lrt", "li", "rsi", "lrswipkxtean", "lrse", "lrn"}).Draw(t, "rights"))
	err := x.update(func(tx *Tx, m *model) error {
		if err := tx.SetACL(id, Grant{Who: modelGuest, Rights: r}); err != nil {
			return err
		}
		m.byID(id).rights = r
		return nil
	})
	x.kind(err, b.noselect, mail.NotFound)
}

// refused returns how the guest is refused on a mailbox, if it is.
func (b *modelBox) refused(need Rights) (kind mail.Kind, refused bool) {
	switch {
	case b.noselect:
		return mail.NotFound, true
	case b.rights.Has(need):
		return 0, false
	case b.rights.Has(RightLookup):
		return mail.Denied, true
	}
	return mail.NotFound, true
}

func (b *modelBox) mayFlag(f string) bool {
	switch f {
	case `\seen`:
		return b.rights.Has(RightSeen)
	case `\deleted`:
		return b.rights.Has(RightDeleted)
	}
	return b.rights.Has(RightWrite)
}

// sees is the flags and the ModSeq of a message for the guest.
func (b *modelBox) sees(p *modelMessage) (map[string]bool, ModSeq) {
	flags := maps.Clone(p.flags)
	delete(flags, `\seen`)
	s := b.theirs[p.uid]
	if s.seen {
		flags[`\seen`] = true
	}
	return flags, max(p.modseq, s.modseq)
}

func (x *machine) GuestFlags(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	set, flags := x.uids(b), x.flags()
	c := FlagChange{Op: FlagOp(rapid.IntRange(0, 2).Draw(t, "op")), Flags: flags}
	if c.Conditional = rapid.Bool().Draw(t, "cond"); c.Conditional {
		c.UnchangedSince = ModSeq(rapid.IntRange(0, int(x.m.modseq)).Draw(t, "since"))
	}
	kind, refused := b.refused(RightRead)
	asked := lowered(flags)
	can := slices.ContainsFunc(slices.Collect(maps.Keys(asked)), b.mayFlag)
	if !refused && (b.rights&(RightSeen|RightWrite|RightDeleted) == 0 || c.Op != FlagsReplace && len(flags) > 0 && !can) {
		kind, refused = mail.Denied, true
		if !b.rights.Has(RightLookup) {
			kind = mail.Denied
		}
	}
	err := x.guestUpdate(func(tx *Tx, m *model) error {
		changed, modified, err := tx.SetFlags(id, set, c)
		if err != nil {
			return err
		}
		b := m.byID(id)
		var wantChanged, wantModified UIDSet
		for i := range b.msgs {
			p := &b.msgs[i]
			have, modseq := b.sees(p)
			if !set.Contains(p.uid) {
				continue
			}
			if c.Conditional && modseq > c.UnchangedSince {
				wantModified.Add(p.uid)
				continue
			}
			next := b.after(have, asked, c.Op)
			if maps.Equal(next, have) {
				continue
			}
			wantChanged.Add(p.uid)
			if next[`\seen`] != have[`\seen`] {
				b.theirs[p.uid] = seenState{m.modseq, next[`\seen`]}
			}
			shared := maps.Clone(next)
			if delete(shared, `\seen`); p.flags[`\seen`] {
				shared[`\seen`] = true
			}
			if !maps.Equal(shared, p.flags) {
				p.flags, p.modseq = shared, m.modseq
			}
		}
		if !slices.Equal(changed, wantChanged) || !slices.Equal(modified, wantModified) {
			return fmt.Errorf("guest changed %v modified %v, want %v and %v", changed, modified, wantChanged, wantModified)
		}
		return nil
	})
	x.kind(err, refused, kind)
}

// after is flags after a change, as far as the guest may make it.
func (b *modelBox) after(have, asked map[string]bool, op FlagOp) map[string]bool {
	next := maps.Clone(have)
	if op == FlagsReplace {
		maps.DeleteFunc(next, func(f string, _ bool) bool { return b.mayFlag(f) })
	}
	for f := range asked {
		if !b.mayFlag(f) {
			continue
		}
		if op == FlagsRemove {
			delete(next, f)
		} else {
			next[f] = true
		}
	}
	return next
}

// GuestCopyOrMove keeps what the owner and the guest have seen.
func (x *machine) GuestCopyOrMove(t *rapid.T) {
	x.t = t
	b, from := x.box("from")
	d, to := x.box("to")
	set, move := x.uids(b), rapid.Bool().Draw(t, "move")
	need := RightRead
	if move {
		need |= RightDeleted | RightExpunge
	}
	kind, refused := b.refused(need)
	if k, also := d.refused(RightInsert); also && !refused {
		kind, refused = k, true
	}
	err := x.guestUpdate(func(tx *Tx, m *model) error {
		var err error
		if move {
			_, err = tx.Move(from, to, set)
		} else {
			_, err = tx.Copy(from, to, set)
		}
		if err != nil {
			return err
		}
		src, dest := m.byID(from), m.byID(to)
		var gone UIDSet
		for _, p := range slices.Clone(src.msgs) {
			if !set.Contains(p.uid) {
				continue
			}
			gone.Add(p.uid)
			mine, _ := src.sees(&p)
			old := p.uid
			p.flags = maps.Clone(p.flags)
			maps.DeleteFunc(p.flags, func(f string, _ bool) bool { return f != `\seen` && !dest.mayFlag(f) })
			u := m.add(dest, p)
			if mine[`\seen`] && dest.mayFlag(`\seen`) {
				dest.theirs[u] = seenState{m.modseq, true}
			}
			m.noteAgain(Membership{from, old}, Membership{to, u}, func(user mail.AccountID) bool { return move || user == 0 || user == modelGuest })
		}
		if move {
			m.expunge(src, gone)
		}
		return nil
	})
	x.kind(err, refused, kind)
}

// GuestOther appends or expunges.
func (x *machine) GuestOther(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	if rapid.Bool().Draw(t, "append") {
		kind, refused := b.refused(RightInsert)
		flags := x.flags()
		err := x.guestUpdate(func(tx *Tx, m *model) error {
			x.count++
			text := letter(x.count % 7)
			s, err := x.s.Stage(context.Background())
			if err != nil {
				return err
			}
			defer s.Close()
			s.Write([]byte(text))
			s.Finish()
			got, err := tx.Append(id, s, AppendOptions{Flags: flags})
			if err != nil {
				return err
			}
			b := m.byID(id)
			have := b.after(map[string]bool{}, lowered(flags), FlagsAdd)
			seen := have[`\seen`]
			delete(have, `\seen`)
			u := m.add(b, modelMessage{flags: have, size: int64(len(text)), date: x.clock.t.Unix(), email: got.Email})
			if m.text[got.Email] = text; seen {
				b.theirs[u] = seenState{m.modseq, true}
			}
			return nil
		})
		x.kind(err, refused, kind)
		return
	}
	set := x.uids(b)
	kind, refused := b.refused(RightExpunge)
	err := x.guestUpdate(func(tx *Tx, m *model) error {
		got, err := tx.Expunge(id, set)
		if err != nil {
			return err
		}
		if want := m.expunge(m.byID(id), set); !slices.Equal(got, want) {
			return fmt.Errorf("guest expunged %v, want %v", got, want)
		}
		return nil
	})
	x.kind(err, refused, kind)
}

// checkGuest compares what the guest sees.
func (x *machine) checkGuest() {
	t := x.t
	err := x.as().View(context.Background(), func(v *View) error {
		var listed []MailboxID
		for _, mb := range v.Mailboxes() {
			listed = append(listed, mb.ID)
		}
		for path, b := range x.m.boxes {
			if slices.Contains(listed, b.id) != b.rights.Has(RightLookup) {
				t.Fatalf("%s with %q: listed %v", path, b.rights, listed)
			}
			snap, err := v.Snapshot(b.id)
			if kind, refused := b.refused(RightRead); refused {
				x.kind(err, true, kind)
				continue
			}
			if err != nil {
				return err
			}
			unseen := 0
			rows := rowsOf(snap)
			if len(rows) != len(b.msgs) {
				t.Fatalf("%s: the guest sees %d messages of %d", path, len(rows), len(b.msgs))
			}
			for i := range b.msgs {
				want, modseq := b.sees(&b.msgs[i])
				have := map[string]bool{}
				for _, f := range strings.Fields(snap.FlagText(rows[i].Flags)) {
					have[strings.ToLower(f)] = true
				}
				if !want[`\seen`] {
					unseen++
				}
				if !maps.Equal(have, want) || rows[i].ModSeq != modseq || modseq > snap.Mailbox().HighestModSeq {
					t.Fatalf("%s: the guest sees %+v %v, want %v and ModSeq %d", path, rows[i], have, want, modseq)
				}
			}
			if int(snap.Mailbox().Unseen) != unseen {
				t.Fatalf("%s: %d unseen, want %d", path, snap.Mailbox().Unseen, unseen)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
