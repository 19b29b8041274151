package jmap

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"posthouse/internal/codec"
	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// Email/bulk of the vendor capability changes all messages that a query finds, as a
// job of the server: in batches, each one transaction that also writes down how to
// undo it. A job goes on where it was after a restart.

const (
	jobBatch = 10_000  // messages of one transaction
	oneBatch = 500     // of one that changes each on its own, at most
	maxBulk  = 500_000 // messages of one job
	maxJobs  = 20      // that are kept
)

// jobType is Job: how far a change of many messages is.
func jobType() *objectType {
	t := &objectType{
		name: "Job", capability: capPosthouse, guests: jobObjects,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "status", typ: "String", mode: serverSet, def: "running"}, // running, done, undoing, undone, failed
			{name: "total", typ: "UnsignedInt", mode: serverSet, def: 0},
			{name: "done", typ: "UnsignedInt", mode: serverSet, def: 0},
			{name: "failed", typ: "UnsignedInt", mode: serverSet, def: 0},
			{name: "createdAt", typ: "UTCDate", mode: serverSet},
		},
	}
	t.keep(store.ObjectJob)
	load := t.load
	t.load = func(c *call, v *store.View, ids []string) ([]record, error) { // what a job consists of are objects too
		whole := []string{}
		var err error
		if ids == nil {
			err = v.Objects(store.ObjectJob, func(o store.Object) bool {
				whole = append(whole, o.ID)
				return true
			})
		}
		whole = slices.DeleteFunc(append(whole, ids...), func(id string) bool { return strings.Contains(id, "-") })
		if err != nil {
			return nil, err
		}
		return load(c, v, whole)
	}
	touched := t.touched
	t.touched = func(c *call, v *store.View, d *delta) ([]touch, error) {
		list, err := touched(c, v, d)
		return slices.DeleteFunc(list, func(x touch) bool { return strings.Contains(x.id, "-") }), err
	}
	t.load = ownOfGuest(t.load)
	t.touched = ownTouched(t.load, t.touched)
	return t
}

// jobObjects are what a job takes; a message that it moves may have been snoozed.
var jobObjects = []store.ObjectKind{store.ObjectJob, store.ObjectSnooze}

func bulkMethods() []*method {
	return []*method{
		{name: "Email/bulk", capability: capPosthouse, guests: jobObjects, args: []wire.Field{{Name: "filter?", Type: "Any"}, {Name: "collapseThreads?", Type: "Boolean"},
			{Name: "patch?", Type: "Any"}, {Name: "destroy?", Type: "Boolean"}}, do: startBulk},
		{name: "Email/bulkUndo", capability: capPosthouse, guests: jobObjects, args: []wire.Field{{Name: "jobId", Type: "Id"}}, do: undoBulk},
	}
}

// startBulk makes a job of a query.
func startBulk(c *call) (wire.Object, error) {
	patch, _ := c.args["patch"].(map[string]any)
	destroy := c.flag("destroy")
	if (patch == nil) == !destroy {
		return nil, invalidArguments("neither patch nor destroy, or both")
	}
	for path := range patch {
		if name, _, _ := strings.Cut(path, "/"); name != "keywords" && name != "mailboxIds" {
			return nil, invalidArguments("a patch changes keywords and mailboxIds only")
		}
	}
	var ids []store.EmailID
	if err := c.view(func(v *store.View) error {
		q, err := c.types["Email"].asked(c)
		if err != nil {
			return err
		}
		res, err := queryEmails(c, v, q)
		if err == nil {
			ids = slices.Clone(res.(*emailResults).ids)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if c.flag("collapseThreads") {
		ids = c.wholeThreads(ids)
	}
	slices.Sort(ids) // neighbours are quick to find, and get UIDs in the order they came
	ids = slices.Compact(ids)
	if len(ids) > maxBulk {
		return nil, refused("requestTooLarge", "too many messages for one job")
	}
	id, err := c.newID("J")
	if err != nil {
		return nil, err
	}
	job := map[string]any{"status": "running", "total": len(ids), "done": 0, "failed": 0, "createdAt": utcDate(c.opts.Now().Unix()), "destroy": destroy}
	if patch != nil {
		job["patch"] = patch
	}
	if c.acct.shared {
		job["by"] = int64(c.who.account.ID)
	}
	err = c.acct.Update(c.ctx, func(tx *store.Tx) error {
		if err := trimJobs(tx, c.who.account.ID); err != nil {
			return err
		}
		if err := tx.PutObject(store.ObjectJob, id+"-ids", appendIDs(nil, ids), nil); err != nil {
			return err
		}
		return tx.PutObject(store.ObjectJob, id, wire.Append(nil, job), nil)
	})
	if err != nil {
		return nil, err
	}
	c.timers.set(alarm{c.acct.ID(), store.ObjectJob, id}, c.opts.Now())
	return c.head().With("jobId", id).With("total", len(ids)), nil
}

// wholeThreads adds the other messages of threads.
func (c *call) wholeThreads(ids []store.EmailID) []store.EmailID {
	var all []store.EmailID
	for _, id := range ids {
		members, there := c.acct.index.thread(c.acct.index.threadOf(id))
		for i, m := range members {
			if there[i] {
				all = append(all, m)
			}
		}
	}
	return all
}

func appendIDs(dst []byte, ids []store.EmailID) []byte {
	last := store.EmailID(0)
	for _, id := range ids {
		dst = binary.AppendVarint(dst, int64(id-last))
		last = id
	}
	return dst
}

// decodeIDs is the inverse of appendIDs; of what is damaged it returns what comes before.
func decodeIDs(b []byte) (ids []store.EmailID) {
	d := codec.Decode(b)
	for last := store.EmailID(0); d.Len() > 0; {
		last += store.EmailID(d.Varint())
		if d.Bad() {
			return ids
		}
		ids = append(ids, last)
	}
	return ids
}

// trimJobs removes the oldest jobs of somebody that are over, with all their parts.
func trimJobs(tx *store.Tx, by mail.AccountID) error {
	type job struct{ id, at string }
	var over []job
	parts := map[string][]string{}
	n := 0
	if err := tx.Objects(store.ObjectJob, func(o store.Object) bool {
		id, _, isPart := strings.Cut(o.ID, "-")
		parts[id] = append(parts[id], o.ID)
		if isPart {
			return true
		}
		m, err := decodeValues(o.Value)
		if err == nil && sender(m, tx.Account()) != by {
			return true
		}
		n++
		if err != nil || m["status"] != "running" && m["status"] != "undoing" {
			at, _ := m["createdAt"].(string)
			over = append(over, job{id, at})
		}
		return true
	}); err != nil {
		return err
	}
	slices.SortFunc(over, func(a, b job) int { return cmp.Compare(a.at, b.at) })
	for ; n >= maxJobs && len(over) > 0; n, over = n-1, over[1:] {
		for _, p := range parts[over[0].id] {
			if err := tx.DeleteObject(store.ObjectJob, p); err != nil {
				return err
			}
		}
	}
	if n >= maxJobs {
		return refused("serverUnavailable", "too many jobs are running")
	}
	return nil
}

// loadJobs finds what was not finished.
func (s *Server) loadJobs(ctx context.Context) error {
	return s.opts.Store.EachObject(ctx, store.ObjectJob, func(id mail.AccountID, o store.Object) bool {
		if strings.Contains(o.ID, "-") {
			return true
		}
		if m, err := decodeValues(o.Value); err == nil && (m["status"] == "running" || m["status"] == "undoing") {
			s.timers.set(alarm{id, store.ObjectJob, o.ID}, s.opts.Now())
		}
		return true
	})
}

// ringJob does one batch of a job and comes back for the next.
func (s *Server) ringJob(ctx context.Context, a alarm) error {
	acct, err := s.opts.Store.Account(ctx, a.account)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := s.jobCall(ctx, acct, a.id)
	if err != nil || c == nil {
		return err
	}
	b := &batch{call: c, id: a.id, singly: c.acct.shared, refused: map[string]*setError{}} // a guest's rights may differ from message to message
	for {
		err := c.acct.Update(ctx, b.do)
		var half *halfway
		if errors.As(err, &half) {
			b.refused[half.key] = half.err
			continue
		}
		if _, ours := asSetError(err); ours && !b.singly { // which one it is will show
			b.singly = true
			continue
		}
		if err == nil && b.more {
			s.timers.set(a, s.opts.Now())
		}
		return err
	}
}

// jobCall is the call in which a job runs: by who began it, with the rights that this
// one has now. It is nil if the job is gone.
func (s *Server) jobCall(ctx context.Context, acct *store.Account, id string) (*call, error) {
	var job values
	if err := acct.View(ctx, func(v *store.View) error {
		o, err := v.Object(store.ObjectJob, id)
		if err == nil {
			job, err = decodeValues(o.Value)
		}
		return err
	}); err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil, nil
		}
		return nil, err
	}
	c, err := s.callBy(ctx, acct, sender(job, acct.ID()), jobObjects)
	if err == nil {
		c.exact, c.typ = true, s.types["Email"]
	}
	return c, err
}

// A batch is one transaction of a job.
type batch struct {
	*call
	id      string
	more    bool
	singly  bool // each message on its own: together they failed
	refused map[string]*setError
}

func (b *batch) do(tx *store.Tx) error {
	b.more = false
	o, err := tx.Object(store.ObjectJob, b.id)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	job, err := decodeValues(o.Value)
	if err != nil {
		return err
	}
	if b.acct.shared && b.who.account.Disabled { // who began it is gone
		job["status"] = "failed"
		return tx.PutObject(store.ObjectJob, b.id, wire.Append(nil, map[string]any(job)), nil)
	}
	s := &setter{call: b.call, tx: tx, fresh: map[string]string{}, moved: map[store.EmailID]bool{}, refused: b.refused}
	switch job["status"] {
	case "running":
		err = b.forward(s, job)
	case "undoing":
		err = b.backward(s, job)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	b.more = job["status"] == "running" || job["status"] == "undoing"
	return tx.PutObject(store.ObjectJob, b.id, wire.Append(nil, map[string]any(job)), nil)
}

// forward changes the next messages, and writes down what they were.
func (b *batch) forward(s *setter, job values) error {
	o, err := s.tx.Object(store.ObjectJob, b.id+"-ids")
	if err != nil {
		return err
	}
	ids := decodeIDs(o.Value)
	done := int(uintOf(job["done"]))
	todo := ids[min(done, len(ids)):]
	todo = todo[:min(len(todo), b.size())]
	groups, err := b.alike(s, todo)
	if err != nil {
		return err
	}
	var undo []any
	failed := int(uintOf(job["failed"]))
	for _, g := range groups {
		was := b.before(g)
		err := b.changeAll(s, job, g)
		if _, ours := asSetError(err); ours && g.refused {
			failed += len(g.ids)
			continue
		}
		if err != nil {
			return err
		}
		undo = append(undo, was)
	}
	job["done"], job["failed"] = done+len(todo), failed
	if done+len(todo) >= len(ids) {
		job["status"] = "done"
	}
	if len(undo) == 0 || job["destroy"] == true {
		return nil
	}
	return s.tx.PutObject(store.ObjectJob, fmt.Sprintf("%s-%08x", b.id, done), wire.Append(nil, map[string]any{"groups": undo}), nil)
}

func (b *batch) size() int {
	if b.singly {
		return min(oneBatch, b.jobBatch)
	}
	return b.jobBatch
}

// A likeness is messages that are in the same mailboxes with the same flags, so that a
// patch does the same to each.
type likeness struct {
	e       *email // one of them; what belongs to it alone is not filled in
	ids     []store.EmailID
	refused bool // the patch does not fit them: nothing was changed
}

// alike sorts messages by likeness; those that are gone are left out.
func (b *batch) alike(s *setter, ids []store.EmailID) ([]*likeness, error) {
	places, err := s.tx.MembershipsOf(ids)
	if err != nil {
		return nil, err
	}
	r := rows{v: &s.tx.View, snaps: map[store.MailboxID]*store.Snapshot{}}
	var list []*likeness
	byKey := map[string]*likeness{}
	var key []byte
	for i, id := range ids {
		key = key[:0]
		for _, m := range places[i] {
			row, _, _ := r.row(m)
			key = binary.BigEndian.AppendUint64(key, uint64(m.Mailbox))
			key = binary.BigEndian.AppendUint32(key, uint32(row.Flags))
		}
		g := byKey[string(key)]
		if g == nil || b.singly {
			g = &likeness{e: &email{id: id, places: places[i]}}
			byKey[string(key)] = g
			if g.e.read(&r) {
				list = append(list, g)
			}
		}
		g.ids = append(g.ids, id)
	}
	return list, nil
}

// before is what messages are: mailboxes by number, and keywords.
func (b *batch) before(g *likeness) any {
	boxes := []any{}
	for _, p := range g.e.places {
		boxes = append(boxes, int64(p.Mailbox))
	}
	return map[string]any{"in": boxes, "keywords": maps.Clone(g.e.keywords), "ids": base64.StdEncoding.EncodeToString(appendIDs(nil, g.ids))}
}

// changeAll does to messages that are alike what the job is for.
func (b *batch) changeAll(s *setter, job values, g *likeness) error {
	if b.singly {
		err := b.change(s, job, emailID(g.e.id))
		var half *halfway
		g.refused = err != nil && !errors.As(err, &half)
		return err
	}
	if job["destroy"] == true {
		return s.tx.SetMailboxesOf(g.ids, nil)
	}
	changed, err := s.typ.patched(s, record{emailID(g.e.id), g.e}, job["patch"])
	var ch emailChange
	if err == nil {
		ch, err = s.emailChange(g.e, changed)
	}
	if err != nil {
		g.refused = true
		return err
	}
	if err := s.flagAll(g.ids, ch.flags); err != nil || ch.targets == nil {
		return err
	}
	return s.tx.SetMailboxesOf(g.ids, ch.targets)
}

// flagAll changes flags of many messages.
func (s *setter) flagAll(ids []store.EmailID, changes []store.FlagChange) error {
	for _, c := range changes {
		if err := s.tx.SetFlagsOf(ids, c); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) change(s *setter, job values, id string) error {
	key := "update/" + id
	if e := b.refused[key]; e != nil {
		return e
	}
	var err error
	if job["destroy"] == true {
		err = destroyEmail(s, id)
	} else {
		err = s.typ.tryUpdate(s, key, id, job["patch"])
	}
	var half *halfway
	if errors.As(err, &half) {
		half.key = key
	}
	return err
}
