package jmap

import (
	"strconv"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A state is what the client calls it: a position of the log. What /changes could
// not tell at once has the form since-upto-n: the first n ids of what happened
// between two positions were told.
type state struct {
	since, upto store.LogPos
	told        int
}

func stateOf(v *store.View) string { return stateAt(v.LogEnd()) }

func stateAt(p store.LogPos) string { return strconv.FormatUint(uint64(p), 10) }

func (s state) String() string {
	if s.upto == 0 {
		return stateAt(s.since)
	}
	return stateAt(s.since) + "-" + stateAt(s.upto) + "-" + strconv.Itoa(s.told)
}

func parseState(text string) (s state, ok bool) {
	parts := strings.Split(text, "-")
	if len(parts) != 1 && len(parts) != 3 {
		return s, false
	}
	nums := make([]uint64, 3)
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 63)
		if err != nil || p != strconv.FormatUint(n, 10) {
			return s, false
		}
		nums[i] = n
	}
	s = state{store.LogPos(nums[0]), store.LogPos(nums[1]), int(nums[2])}
	return s, len(parts) == 1 || s.upto >= s.since && s.upto > 0
}

var errCannotCalculate = refused("cannotCalculateChanges", "the log does not reach back that far")

// A delta is what a stretch of the log says, by object.
type delta struct {
	emails map[store.EmailID]int // memberships gained less those lost
	order  []store.EmailID       // those of emails, in the order in which they are named
	boxes  map[store.MailboxID]boxChange
	boxed  []store.MailboxID
	// objects that were put or removed, in order; made: the first that is told is that
	// they are new.
	objects []store.ObjectRef
	made    map[store.ObjectRef]bool
}

// boxChange says what happened to a mailbox.
type boxChange uint8

const (
	boxMade boxChange = 1 << iota
	boxChanged
	boxDeleted
	boxMessages // its messages changed
)

// deltaSince reads the log between two positions.
func (c *call) deltaSince(v *store.View, since, upto store.LogPos) (*delta, error) {
	d := &delta{emails: map[store.EmailID]int{}, boxes: map[store.MailboxID]boxChange{}, made: map[store.ObjectRef]bool{}}
	r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
	var failed error
	err := v.Changes(since, func(ch store.Change) bool {
		if ch.Pos > upto {
			return false
		}
		failed = d.add(&ch, &r)
		return failed == nil
	})
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, errCannotCalculate
	}
	if failed != nil {
		err = failed
	}
	return d, err
}

// add takes in one change.
func (d *delta) add(ch *store.Change, r *rows) error {
	switch ch.Kind {
	case store.Added:
		d.box(ch.Mailbox, boxMessages)
		for _, e := range ch.Emails {
			d.email(e, 1)
		}
	case store.Expunged:
		d.box(ch.Mailbox, boxMessages)
		for _, e := range ch.Emails {
			d.email(e, -1)
		}
	case store.Flagged:
		d.box(ch.Mailbox, boxMessages)
		snap, err := r.snapshot(ch.Mailbox)
		if err != nil || snap == nil {
			return err // the mailbox has gone, and told of its messages itself
		}
		for _, row := range snap.RowsOf(ch.UIDs) {
			d.email(row.Email, 0)
		}
	case store.MailboxCreated:
		d.box(ch.Mailbox, boxMade)
	case store.MailboxChanged:
		if d.boxes[ch.Mailbox]&boxDeleted != 0 { // made anew under its old number
			return errCannotCalculate
		}
		d.box(ch.Mailbox, boxChanged)
	case store.MailboxDeleted:
		d.box(ch.Mailbox, boxDeleted)
	case store.ObjectMade, store.ObjectPut, store.ObjectDeleted:
		if _, known := d.made[ch.Object]; !known {
			d.made[ch.Object] = ch.Kind == store.ObjectMade
			d.objects = append(d.objects, ch.Object)
		}
	}
	return nil
}

func (d *delta) email(e store.EmailID, n int) {
	if _, known := d.emails[e]; !known {
		d.order = append(d.order, e)
	}
	d.emails[e] += n
}

func (d *delta) box(id store.MailboxID, what boxChange) {
	if _, known := d.boxes[id]; !known {
		d.boxed = append(d.boxed, id)
	}
	d.boxes[id] |= what
}

// rows finds the rows of messages in snapshots of one view.
type rows struct {
	v     *store.View
	snaps map[store.MailboxID]*store.Snapshot
}

// snapshot returns the messages of a mailbox, nil if it holds none any more.
func (r *rows) snapshot(id store.MailboxID) (*store.Snapshot, error) {
	if s, known := r.snaps[id]; known {
		return s, nil
	}
	s, err := r.v.Snapshot(id)
	if mail.KindOf(err) == mail.NotFound {
		s, err = nil, nil
	}
	if err == nil {
		r.snaps[id] = s
	}
	return s, err
}

// row returns the row of one message; false if it is not there.
func (r *rows) row(m store.Membership) (store.Row, *store.Snapshot, bool) {
	s, err := r.snapshot(m.Mailbox)
	if err != nil || s == nil {
		return store.Row{}, nil, false
	}
	i, found := s.Search(m.UID)
	if !found {
		return store.Row{}, nil, false
	}
	return s.Row(i), s, true
}

// A touch is one id that the log names, and whether its object was and is there.
type touch struct {
	id      string
	was, is bool
}

// changes is Foo/changes, RFC 8620 §5.2.
func (t *objectType) changes(c *call) (wire.Object, error) {
	from, ok := parseState(c.str("sinceState"))
	if !ok {
		return nil, errCannotCalculate
	}
	most := int(min(c.num("maxChanges", noLimit), noLimit))
	if c.args["maxChanges"] != nil && most == 0 {
		return nil, invalidArguments("maxChanges must be above 0")
	}
	var out wire.Object
	err := c.view(func(v *store.View) error {
		if from.since > v.LogEnd() || from.upto > v.LogEnd() {
			return errCannotCalculate
		}
		upto := from.upto
		if upto == 0 {
			upto = v.LogEnd()
		}
		d, err := c.deltaSince(v, from.since, upto)
		if err != nil {
			return err
		}
		all, err := t.touched(c, v, d)
		if err != nil {
			return err
		}
		rest := all[min(from.told, len(all)):]
		next := state{since: upto}
		if len(rest) > most {
			rest = rest[:most]
			next = state{from.since, upto, from.told + most}
		}
		created, updated, destroyed := sorted(rest)
		out = wire.Object{{Name: "accountId", Value: c.acct.id}, {Name: "oldState", Value: c.str("sinceState")}, {Name: "newState", Value: next.String()},
			{Name: "hasMoreChanges", Value: next.upto != 0 || upto < v.LogEnd()},
			{Name: "created", Value: created}, {Name: "updated", Value: updated}, {Name: "destroyed", Value: destroyed}}
		if t.extra != nil {
			out = t.extra(d, out)
		}
		return nil
	})
	return out, err
}

func sorted(list []touch) (created, updated, destroyed []string) {
	created, updated, destroyed = []string{}, []string{}, []string{}
	for _, t := range list {
		switch {
		case t.is && t.was:
			updated = append(updated, t.id)
		case t.is:
			created = append(created, t.id)
		case t.was:
			destroyed = append(destroyed, t.id)
		}
	}
	return created, updated, destroyed
}

// unchanged reports whether nothing of the type changed since a state.
func (t *objectType) unchanged(c *call, v *store.View, text string) (bool, error) {
	s, ok := parseState(text)
	if !ok || s.upto != 0 || s.since > v.LogEnd() {
		return false, nil
	}
	if s.since == v.LogEnd() {
		return true, nil
	}
	d, err := c.deltaSince(v, s.since, v.LogEnd())
	if err != nil {
		if e, _ := asMethodError(err); e.kind == "cannotCalculateChanges" {
			return false, nil
		}
		return false, err
	}
	all, err := t.touched(c, v, d)
	return len(all) == 0, err
}

// objectsTouched tells of objects that the store keeps as such.
func objectsTouched(kind store.ObjectKind) func(c *call, v *store.View, d *delta) ([]touch, error) {
	return func(_ *call, v *store.View, d *delta) ([]touch, error) {
		var list []touch
		for _, o := range d.objects {
			if o.Kind != kind {
				continue
			}
			_, err := v.Object(kind, o.ID)
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return nil, err
			}
			list = append(list, touch{o.ID, !d.made[o], err == nil})
		}
		return list, nil
	}
}
