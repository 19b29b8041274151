package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"posthouse/mail"
)

// Undelete brings back the last membership of each message that is nowhere.
func (x *machine) Undelete(t *rapid.T) {
	x.t = t
	var since int64
	if rapid.Bool().Draw(t, "since now") {
		since = x.clock.t.Unix()
	}
	full := rapid.IntRange(0, 4).Draw(t, "full") == 0
	err := x.update(func(tx *Tx, m *model) error {
		last := map[EmailID]modelDead{}
		for _, d := range m.dead {
			if d.at >= since {
				last[d.msg.email] = d
			}
		}
		for _, b := range m.boxes {
			for _, p := range b.msgs {
				delete(last, p.email)
			}
		}
		if u := tx.Usage(); full && len(last) > 0 && u.Messages > 0 {
			if err := tx.SetQuota(Quota{Messages: u.Messages}); err != nil {
				return err
			}
			if _, err := tx.Undelete(time.Unix(since, 0)); mail.KindOf(err) != mail.OverQuota {
				return fmt.Errorf("undelete over quota: %v", err)
			}
			return errStop
		}
		done, err := tx.Undelete(time.Unix(since, 0))
		if err != nil {
			return err
		}
		n := 0
		for _, r := range done {
			n += r.Messages
		}
		if n != len(last) {
			return fmt.Errorf("%d messages back, want %d", n, len(last))
		}
		x.revive(tx, m, last)
		return nil
	})
	if full && errors.Is(err, errStop) {
		return
	}
	x.kind(err, false)
}

func (x *machine) revive(tx *Tx, m *model, last map[EmailID]modelDead) {
	order := slices.SortedFunc(maps.Values(last), func(a, b modelDead) int {
		return cmp.Or(cmp.Compare(a.box, b.box), cmp.Compare(a.msg.uid, b.msg.uid), cmp.Compare(a.msg.email, b.msg.email))
	})
	var rest []modelDead
	for _, d := range order {
		d.msg.flags = maps.Clone(d.msg.flags)
		delete(d.msg.flags, `\deleted`)
		if b := m.byID(d.box); b == nil || b.noselect {
			rest = append(rest, d)
		} else {
			m.noteAgain(Membership{d.box, d.msg.uid}, Membership{b.id, m.add(b, d.msg)}, everybody)
		}
	}
	if len(rest) == 0 {
		return
	}
	if b := m.boxes[restoredPath]; b == nil || b.noselect {
		x.create(&tx.View, m, restoredPath)
		m.subs[restoredPath] = true
	}
	for _, d := range rest {
		b := m.boxes[restoredPath]
		m.noteAgain(Membership{d.box, d.msg.uid}, Membership{b.id, m.add(b, d.msg)}, everybody)
	}
}

// checkFloor: the log reaches back as far as it must, and says where it ends.
func (x *machine) checkFloor(v *View) {
	floor, o := v.st.hdr.floor, &x.s.opts
	if int(floor) > max(0, int(v.ModSeq())-o.LogTransactions) {
		x.t.Fatalf("floor %d of %d, %d transactions are to be kept", floor, v.ModSeq(), o.LogTransactions)
	}
	if int(floor) < len(x.m.times) && x.m.times[floor] > x.clock.t.Unix()-int64(o.LogAge.Seconds()) && floor > 1 {
		x.t.Fatalf("floor %d is of %d, now is %d", floor, x.m.times[floor], x.clock.t.Unix())
	}
	if floor > 0 {
		if err := v.Changes(LogPos(floor)-1, func(Change) bool { return true }); mail.KindOf(err) != mail.NotFound {
			x.t.Fatalf("changes below the floor: %v", err)
		}
	}
	next := LogPos(floor)
	if err := v.Changes(next, func(c Change) bool {
		if c.Pos < next {
			x.t.Fatalf("change %d after %d", c.Pos, next)
		}
		next = c.Pos
		return true
	}); err != nil {
		x.t.Fatalf("changes from the floor: %v", err)
	}
}
