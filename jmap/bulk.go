package jmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// Email/bulk of the vendor capability changes all messages that a query finds, as a
// job of the server: in batches, each one transaction that also writes down how to
// undo it. A job goes on where it was after a restart.

const (
	jobBatch = 500     // messages of one transaction
	maxBulk  = 500_000 // messages of one job
	maxJobs  = 20      // that are kept
)

// jobType is Job: how far a change of many messages is.
func jobType() *objectType {
	t := &objectType{
		name: "Job", capability: capPosthouse,
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
		list, err := load(c, v, ids)
		return slices.DeleteFunc(list, func(r record) bool { return strings.Contains(r.id, "-") }), err
	}
	touched := t.touched
	t.touched = func(c *call, v *store.View, d *delta) ([]touch, error) {
		list, err := touched(c, v, d)
		return slices.DeleteFunc(list, func(x touch) bool { return strings.Contains(x.id, "-") }), err
	}
	return t
}

func bulkMethods() []*method {
	return []*method{
		{name: "Email/bulk", capability: capPosthouse, args: []wire.Field{{Name: "filter?", Type: "Any"}, {Name: "collapseThreads?", Type: "Boolean"},
			{Name: "patch?", Type: "Any"}, {Name: "destroy?", Type: "Boolean"}}, do: startBulk},
		{name: "Email/bulkUndo", capability: capPosthouse, args: []wire.Field{{Name: "jobId", Type: "Id"}}, do: undoBulk},
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
	err = c.acct.Update(c.ctx, func(tx *store.Tx) error {
		if err := trimJobs(tx); err != nil {
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

func decodeIDs(b []byte) (ids []store.EmailID) {
	last := store.EmailID(0)
	for len(b) > 0 {
		d, n := binary.Varint(b)
		if n <= 0 {
			return ids
		}
		last += store.EmailID(d)
		ids, b = append(ids, last), b[n:]
	}
	return ids
}

// trimJobs removes the oldest jobs that are over, with all their parts.
func trimJobs(tx *store.Tx) error {
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
		n++
		if m, err := decodeValues(o.Value); err != nil || m["status"] != "running" && m["status"] != "undoing" {
			at, _ := m["createdAt"].(string)
			over = append(over, job{id, at})
		}
		return true
	}); err != nil {
		return err
	}
	slices.SortFunc(over, func(a, b job) int { return compareText(a.at, b.at) })
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
	c := &call{Server: s, ctx: ctx, args: map[string]any{}, req: &request{created: map[string]string{}}, exact: true, method: s.methods["Email/set"]}
	c.typ = s.types["Email"]
	c.acct = &account{Account: acct, id: accountID(a.account), index: s.indexes.of(acct.ID(), 0, s.limits.IndexBytes)}
	b := &batch{call: c, id: a.id, refused: map[string]*setError{}}
	for {
		err := acct.Update(ctx, b.do)
		var half *halfway
		if errors.As(err, &half) {
			b.refused[half.key] = half.err
			continue
		}
		if err == nil && b.more {
			s.timers.set(a, s.opts.Now())
		}
		return err
	}
}

// A batch is one transaction of a job.
type batch struct {
	*call
	id      string
	more    bool
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
	todo = todo[:min(len(todo), jobBatch)]
	undo := map[string]any{}
	failed := int(uintOf(job["failed"]))
	r := rows{v: &s.tx.View, snaps: map[store.MailboxID]*store.Snapshot{}}
	for _, id := range todo {
		e, err := s.loadEmail(&r, id)
		if err != nil {
			return err
		}
		if e == nil { // gone meanwhile
			continue
		}
		before, err := b.before(e)
		if err != nil {
			return err
		}
		if err := b.change(s, job, emailID(id)); err != nil {
			if _, ours := asSetError(err); !ours {
				return err
			}
			failed++
			continue
		}
		undo[emailID(id)] = before
		clear(r.snaps)
	}
	job["done"], job["failed"] = done+len(todo), failed
	if done+len(todo) >= len(ids) {
		job["status"] = "done"
	}
	if len(undo) == 0 || job["destroy"] == true {
		return nil
	}
	return s.tx.PutObject(store.ObjectJob, fmt.Sprintf("%s-%08x", b.id, done), wire.Append(nil, undo), nil)
}

// before is what a message is: mailboxes by number, and keywords.
func (b *batch) before(e *email) (any, error) {
	boxes := []any{}
	for _, p := range e.places {
		boxes = append(boxes, int64(p.Mailbox))
	}
	return map[string]any{"in": boxes, "keywords": maps.Clone(e.keywords)}, nil
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

// backward undoes one batch, the last first.
func (b *batch) backward(s *setter, job values) error {
	var last store.Object
	if err := s.tx.Objects(store.ObjectJob, func(o store.Object) bool {
		if strings.HasPrefix(o.ID, b.id+"-") && o.ID != b.id+"-ids" && len(o.Value) > 0 {
			last = o
		}
		return true
	}); err != nil {
		return err
	}
	if last.ID == "" {
		job["status"] = "undone"
		return nil
	}
	undo, err := decodeValues(last.Value)
	if err != nil {
		return err
	}
	for _, id := range sortedNames(undo) {
		if err := b.restore(s, id, undo[id].(map[string]any)); err != nil {
			if _, ours := asSetError(err); !ours {
				return err
			}
		}
	}
	job["done"] = max(0, int(uintOf(job["done"]))-len(undo))
	return s.tx.DeleteObject(store.ObjectJob, last.ID)
}

// restore brings a message back to what it was, if it is still there.
func (b *batch) restore(s *setter, id string, was map[string]any) error {
	n, _ := parseEmailID(id)
	r := rows{v: &s.tx.View, snaps: map[store.MailboxID]*store.Snapshot{}}
	e, err := s.loadEmail(&r, n)
	if err != nil || e == nil {
		return err
	}
	back, err := s.returnTo(was["in"], 0)
	if err != nil {
		return err
	}
	if _, err := s.tx.SetMailboxes(n, store.MailboxChange{Add: back, Only: true}); err != nil {
		return err
	}
	keywords, _ := was["keywords"].(map[string]any)
	set, unset := keywordChange(e.keywords, keywords)
	for _, c := range []store.FlagChange{{Op: store.FlagsAdd, Flags: set}, {Op: store.FlagsRemove, Flags: unset}} {
		if len(c.Flags) > 0 {
			if _, err := s.tx.SetEmailFlags(n, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// undoBulk turns a job round.
func undoBulk(c *call) (wire.Object, error) {
	id := c.str("jobId")
	err := c.acct.Update(c.ctx, func(tx *store.Tx) error {
		o, err := tx.Object(store.ObjectJob, id)
		if mail.KindOf(err) == mail.NotFound && err != nil || strings.Contains(id, "-") {
			return invalidArguments("there is no such job")
		}
		if err != nil {
			return err
		}
		job, err := decodeValues(o.Value)
		if err != nil {
			return err
		}
		if job["destroy"] == true || job["status"] == "undone" {
			return invalidArguments("the job cannot be undone")
		}
		job["status"] = "undoing"
		return tx.PutObject(store.ObjectJob, id, wire.Append(nil, map[string]any(job)), nil)
	})
	if err != nil {
		return nil, err
	}
	c.timers.set(alarm{c.acct.ID(), store.ObjectJob, id}, c.opts.Now())
	return c.head().With("jobId", id), nil
}
