package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"posthouse/mail"
)

// modelPast is what existed after a transaction.
type modelPast struct {
	emails map[EmailID]string // with where they were, and how
	boxes  map[MailboxID]bool
}

func (m *model) past() modelPast {
	p := modelPast{map[EmailID]string{}, map[MailboxID]bool{}}
	for _, b := range m.boxes {
		p.boxes[b.id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(p.boxes)) {
		for _, msg := range m.byID(id).msgs {
			p.emails[msg.email] += fmt.Sprint(id, msg.uid, slices.Sorted(maps.Keys(msg.flags)))
		}
	}
	return p
}

// where lists the places of an email.
func (m *model) where(id EmailID) (all []Membership) {
	for _, b := range m.boxes {
		for _, p := range b.msgs {
			if p.email == id {
				all = append(all, Membership{b.id, p.uid})
			}
		}
	}
	slices.SortFunc(all, func(a, b Membership) int {
		if a.Mailbox != b.Mailbox {
			return int(a.Mailbox) - int(b.Mailbox)
		}
		return int(a.UID) - int(b.UID)
	})
	return all
}

// whole is the flags of an email as a whole.
func (m *model) whole(id EmailID) map[string]bool {
	all, seen := map[string]bool{}, true
	for _, w := range m.where(id) {
		f := m.byID(w.Mailbox).get(w.UID).flags
		maps.Copy(all, f)
		seen = seen && f[`\seen`]
	}
	if delete(all, `\seen`); seen {
		all[`\seen`] = true
	}
	return all
}

// email draws one that was given.
func (x *machine) email() EmailID {
	ids := slices.Sorted(maps.Keys(x.m.text))
	if len(ids) == 0 {
		return 1
	}
	return rapid.SampledFrom(ids).Draw(x.t, "email")
}

func (x *machine) SetMailboxes(t *rapid.T) {
	x.t = t
	id := x.email()
	c := MailboxChange{Only: rapid.Bool().Draw(t, "only")}
	for range rapid.IntRange(0, 3).Draw(t, "add") {
		_, b := x.box("to")
		c.Add = append(c.Add, b)
	}
	if !c.Only {
		for range rapid.IntRange(0, 2).Draw(t, "remove") {
			_, b := x.box("from")
			c.Remove = append(c.Remove, b)
		}
	}
	have := x.m.where(id)
	stays := func(b MailboxID) bool {
		return slices.Contains(c.Add, b) || !c.Only && !slices.Contains(c.Remove, b)
	}
	left := len(c.Add)
	bad := len(have) == 0
	for _, w := range have {
		if stays(w.Mailbox) {
			left++
		}
	}
	for _, b := range c.Add {
		bad = bad || x.m.byID(b).noselect
	}
	err := x.update(func(tx *Tx, m *model) error {
		got, err := tx.SetMailboxes(id, c)
		if err != nil {
			return err
		}
		flags := m.whole(id)
		delete(flags, `\deleted`)
		first := *m.byID(have[0].Mailbox).get(have[0].UID)
		for _, b := range slices.Compact(slices.Sorted(slices.Values(c.Add))) {
			if slices.ContainsFunc(have, func(w Membership) bool { return w.Mailbox == b }) {
				continue
			}
			first.flags = flags
			u := m.add(m.byID(b), first)
			m.noteAgain(have[0], Membership{b, u}, func(user mail.AccountID) bool { return user == 0 || user == x.id })
		}
		for _, w := range have {
			if !stays(w.Mailbox) {
				m.expunge(m.byID(w.Mailbox), UIDs(w.UID))
			}
		}
		if want := m.where(id); !slices.Equal(got, want) {
			return fmt.Errorf("email %d is in %v, want %v", id, got, want)
		}
		return nil
	})
	x.kind(err, bad || left == 0, mail.NotFound, mail.Invalid)
}

func (x *machine) SetEmailFlags(t *rapid.T) {
	x.t = t
	id, flags := x.email(), x.flags()
	c := FlagChange{Op: FlagOp(rapid.IntRange(0, 2).Draw(t, "op")), Flags: flags}
	gone := len(x.m.where(id)) == 0
	err := x.update(func(tx *Tx, m *model) error {
		if _, err := tx.SetEmailFlags(id, c); err != nil {
			return err
		}
		for _, w := range m.where(id) {
			p := m.byID(w.Mailbox).get(w.UID)
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
			}
		}
		return nil
	})
	x.kind(err, gone, mail.NotFound)
}

// checkMembers compares the places of an email and its flags.
func (x *machine) checkMembers(v *View) {
	id := x.email()
	got, err := v.Memberships(id)
	if want := x.m.where(id); err != nil || !slices.Equal(got, want) {
		x.t.Fatalf("email %d is in %v, %v, want %v", id, got, err, want)
	}
	if len(got) == 0 {
		return
	}
	flags, err := v.EmailFlags(id)
	if err != nil || !maps.Equal(lowered(flags), x.m.whole(id)) {
		x.t.Fatalf("email %d has %v, %v, want %v", id, flags, err, x.m.whole(id))
	}
}

// checkUsage: each message counts once.
func (x *machine) checkUsage(v *View) {
	seen := map[EmailID]bool{}
	var bytes int64
	for _, b := range x.m.boxes {
		for _, p := range b.msgs {
			if !seen[p.email] {
				seen[p.email] = true
				bytes += p.size
			}
		}
	}
	if u := v.Usage(); u.Messages != int64(len(seen)) || u.Bytes-u.Annotations != bytes {
		x.t.Fatalf("usage %+v, want %d messages of %d bytes", u, len(seen), bytes)
	}
}

// checkDeltas: changes by id lead from what was to what is, also in steps.
func (x *machine) checkDeltas(v *View) {
	t := x.t
	since := LogPos(rapid.IntRange(int(v.st.hdr.floor), int(v.ModSeq())).Draw(t, "delta since"))
	most := rapid.IntRange(0, 4).Draw(t, "most")
	if int(since) >= len(x.m.history) {
		return
	}
	d, err := v.EmailChanges(since, most)
	if err != nil {
		x.kind(err, most > 0, mail.NotFound)
	} else {
		then, now := x.m.history[since].emails, x.m.history[d.Pos].emails
		checkDelta(t, "emails", d, then, now)
		if n := len(d.Created) + len(d.Updated) + len(d.Destroyed); most > 0 && n > most || !d.More && d.Pos != v.LogEnd() {
			t.Fatalf("%d changes, want at most %d: %+v", n, most, d)
		}
	}
	b, err := v.MailboxChanges(since, most)
	if err != nil {
		x.kind(err, most > 0, mail.NotFound)
		return
	}
	checkDelta(t, "mailboxes", b, signed(x.m.history[since].boxes), signed(x.m.history[b.Pos].boxes))
}

func signed(boxes map[MailboxID]bool) map[MailboxID]string {
	m := map[MailboxID]string{}
	for id := range boxes {
		m[id] = ""
	}
	return m
}

func checkDelta[T ~uint64](t *rapid.T, what string, d *Delta[T], then, now map[T]string) {
	var created, destroyed []T
	for id, sign := range now {
		if was, there := then[id]; !there {
			created = append(created, id)
		} else if was != sign && !slices.Contains(d.Updated, id) {
			t.Fatalf("%s: %d changed from %q to %q, not told: %+v", what, id, was, sign, d)
		}
	}
	for id := range then {
		if _, there := now[id]; !there {
			destroyed = append(destroyed, id)
		}
	}
	for _, id := range d.Updated {
		if _, there := then[id]; !there {
			t.Fatalf("%s: %d is said to have changed, it is new", what, id)
		}
	}
	same := func(a, b []T) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	if !same(d.Created, created) || !same(d.Destroyed, destroyed) {
		t.Fatalf("%s: %+v, want created %v, destroyed %v", what, d, created, destroyed)
	}
}

// modelLetterNote names an annotation of a message.
type modelLetterNote struct {
	at   Membership
	user mail.AccountID
	name string
}

func (x *machine) AnnotateMessage(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	u := UID(rapid.IntRange(1, int(b.next)).Draw(t, "uid"))
	n := modelLetterNote{Membership{id, u}, rapid.SampledFrom([]mail.AccountID{0, x.id, modelGuest}).Draw(t, "user"), rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "name")}
	value := []byte(strings.Repeat("v", rapid.IntRange(0, 3).Draw(t, "value")))
	if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
		value = nil
	}
	err := x.update(func(tx *Tx, m *model) error {
		if err := tx.SetMessageAnnotation(id, u, n.user, n.name, value); err != nil {
			return err
		}
		old, was := m.letters[n]
		if value == nil {
			delete(m.letters, n)
		} else {
			m.letters[n] = string(value)
		}
		if was != (value != nil) || was && old != string(value) {
			m.byID(id).get(u).modseq = m.modseq
		}
		return nil
	})
	x.kind(err, b.noselect || b.get(u) == nil, mail.NotFound)
}

// noteAgain copies annotations to another place.
func (m *model) noteAgain(from, to Membership, keep func(mail.AccountID) bool) {
	for n, v := range maps.Clone(m.letters) {
		if n.at == from && keep(n.user) {
			n.at = to
			m.letters[n] = v
		}
	}
}

// noted is the bytes of annotations of messages that are there.
func (m *model) noted() (size int64) {
	for n, v := range m.letters {
		if b := m.byID(n.at.Mailbox); b != nil && b.get(n.at.UID) != nil {
			size += int64(len(n.name) + len(v))
		}
	}
	return size
}

// forget drops the annotations of messages that were reaped.
func (m *model) forget() {
	maps.DeleteFunc(m.letters, func(n modelLetterNote, _ string) bool {
		b := m.byID(n.at.Mailbox)
		return b == nil || b.get(n.at.UID) == nil
	})
}
