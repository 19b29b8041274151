package directory

import (
	"context"
	"strings"

	"posthouse/mail"
)

// Bounds of one resolution. An alias tree that passes them is an error, never a
// silent loss of some of its recipients.
const (
	maxAliasDepth   = 10
	maxAliasTargets = 1000
)

// Resolve follows aliases (bounded, loops end), plus addressing and catch-all.
// Local parts compare without case. The first of these that exists receives:
//
//  1. the account or alias with exactly this address
//  2. the same without its detail: ada for ada+lists (RFC 5233 §1)
//  3. the domain's catch-all
//  4. for postmaster (RFC 5321 §4.5.1) and abuse (RFC 2142 §4): the first admin
//
// The address "postmaster" without a domain (RFC 5321 §4.1.1.3) is local and
// goes to the first admin. The slices of the result are shared: do not change them.
func (d *Directory) Resolve(ctx context.Context, a mail.Address) (Resolution, error) {
	now := d.opts.Now()
	res, generation, ok := d.memory.resolved.load(a, now)
	if ok {
		return res, nil
	}
	_, foreign, ok := d.memory.foreign.load(a.Domain, now)
	if ok {
		return Resolution{}, nil
	}
	r := d.eng.Snapshot(0)
	defer r.Close()
	res, err := reader{r}.resolve(a)
	switch {
	case err != nil:
	case res.Found:
		d.memory.resolved.add(generation, a, res, now)
	case !res.Local:
		d.memory.foreign.add(foreign, a.Domain, struct{}{}, now)
	}
	return res, err
}

func (r reader) resolve(a mail.Address) (Resolution, error) {
	w := &walk{reader: r, seen: map[mail.Address]bool{}}
	known, err := w.visit(a, 0)
	if err != nil {
		return Resolution{}, err
	}
	w.res.Local = known != elsewhere
	w.res.Found = len(w.res.Accounts)+len(w.res.Remote) > 0
	if !w.res.Local {
		return Resolution{}, nil
	}
	_, w.res.Detail = splitDetail(a.Local)
	if w.exact {
		w.res.Detail = ""
	}
	return w.res, nil
}

// A walk is one resolution under way.
type walk struct {
	reader
	res   Resolution
	seen  map[mail.Address]bool // canonical spellings
	exact bool                  // the address asked for exists as it is written
}

// A place says where an address is at home.
type place uint8

const (
	elsewhere place = iota // not one of our domains
	here
)

// visit adds the receivers of a, which stands depth aliases below the address
// that was asked for. The recursion ends: depth is bounded before it recurses.
func (w *walk) visit(a mail.Address, depth int) (place, error) {
	if a.Domain == "" {
		return here, w.admin(a)
	}
	dom, err := w.domain(a.Domain)
	if mail.KindOf(err) == mail.NotFound {
		return elsewhere, w.remote(a, depth)
	}
	if err != nil {
		return here, err
	}
	key := canonical(a)
	if w.seen[key] {
		return here, nil
	}
	w.seen[key] = true
	rec, found, err := w.lookUp(a, depth)
	if err != nil {
		return here, err
	}
	switch {
	case found:
		return here, w.follow(rec, a, depth)
	case !dom.CatchAll.IsNull():
		return here, w.descend(dom.CatchAll, a, depth)
	}
	return here, w.admin(a)
}

// lookUp finds the record of a, or of a without its detail.
func (w *walk) lookUp(a mail.Address, depth int) (addressRecord, bool, error) {
	rec, err := w.address(a)
	if mail.KindOf(err) != mail.NotFound {
		w.exact = w.exact || depth == 0
		return rec, err == nil, err
	}
	base, detail := splitDetail(a.Local)
	if detail == "" && base == a.Local {
		return rec, false, nil
	}
	rec, err = w.address(mail.Address{Local: base, Domain: a.Domain})
	if mail.KindOf(err) == mail.NotFound {
		return rec, false, nil
	}
	return rec, err == nil, err
}

func (w *walk) follow(rec addressRecord, a mail.Address, depth int) error {
	if rec.Alias == nil {
		return w.account(rec.Account)
	}
	if depth == 0 {
		w.res.List = rec.Alias.alias(a.Domain).List
	}
	for _, t := range rec.Alias.Targets {
		if err := w.descend(t.address(), a, depth); err != nil {
			return err
		}
	}
	return nil
}

// descend visits an address to which from leads.
func (w *walk) descend(to, from mail.Address, depth int) error {
	if depth == maxAliasDepth {
		return fail(mail.Invalid, "directory.Resolve", nil, "aliases lead on more than %d times at %s", maxAliasDepth, from)
	}
	_, err := w.visit(to, depth+1)
	return err
}

func (w *walk) account(id mail.AccountID) error {
	for _, have := range w.res.Accounts {
		if have == id {
			return nil
		}
	}
	w.res.Accounts = append(w.res.Accounts, id)
	return w.bounded()
}

// remote adds an alias target elsewhere. At depth 0 it is the address that was
// asked for, and not ours to resolve.
func (w *walk) remote(a mail.Address, depth int) error {
	if depth == 0 {
		return nil
	}
	for _, have := range w.res.Remote {
		if have == a {
			return nil
		}
	}
	w.res.Remote = append(w.res.Remote, a)
	return w.bounded()
}

func (w *walk) bounded() error {
	if len(w.res.Accounts)+len(w.res.Remote) > maxAliasTargets {
		return fail(mail.TooLarge, "directory.Resolve", nil, "the alias leads to more than %d addresses", maxAliasTargets)
	}
	return nil
}

// admin adds the first admin if a is one of the addresses that somebody must
// read.
func (w *walk) admin(a mail.Address) error {
	local, _ := splitDetail(canonicalLocal(a.Local))
	if local != "postmaster" && (local != "abuse" || a.Domain == "") {
		return nil
	}
	id, err := w.firstAdmin()
	if err != nil || id == 0 {
		return err
	}
	return w.account(id)
}

// splitDetail takes "ada+lists" apart. A local part that starts with "+" has no
// detail.
func splitDetail(local string) (base, detail string) {
	if i := strings.IndexByte(local, '+'); i > 0 {
		return local[:i], local[i+1:]
	}
	return local, ""
}

// MaySend reports whether the account owns the address as a sender: its primary
// address, with or without detail, or an alias that leads to it alone; or that it was
// allowed to send as the account or the alias that has it, see [Directory.AllowSender].
// Whoever may send as an account may also as the aliases that lead to that one alone.
// What only a catch-all or the postmaster rule brings does not count, nor does anything
// while the account is disabled. It is the one place that says who sends as whom.
func (d *Directory) MaySend(ctx context.Context, id mail.AccountID, from mail.Address) (bool, error) {
	now := d.opts.Now()
	_, generation, ok := d.memory.senders.load(sender{id, from}, now)
	if ok {
		return true, nil
	}
	snap := d.eng.Snapshot(0)
	defer snap.Close()
	ok, err := d.maySend(ctx, reader{snap}, id, from)
	if ok {
		d.memory.senders.add(generation, sender{id, from}, struct{}{}, now)
	}
	return ok, err
}

func (d *Directory) maySend(ctx context.Context, r reader, id mail.AccountID, from mail.Address) (bool, error) {
	acct, err := r.account(id)
	if err != nil {
		return false, err
	}
	if acct.Disabled || from.Domain == "" {
		return false, nil
	}
	w := &walk{reader: r, seen: map[mail.Address]bool{}}
	rec, found, err := w.lookUp(from, 0)
	if err != nil || !found || rec.Alias == nil && rec.Account == id {
		return err == nil && found, err
	}
	if rec.Alias == nil {
		return d.maySendFor(ctx, r, id, rec.Account)
	}
	holder, err := r.holder(from)
	if err != nil || holder == id {
		return err == nil, err
	}
	if ok, err := d.maySendFor(ctx, r, id, rec.Alias.ID); ok || err != nil || holder == 0 {
		return ok, err
	}
	return d.maySendFor(ctx, r, id, holder)
}

// holder is the account to which an alias leads alone; 0 if there is none.
func (r reader) holder(alias mail.Address) (mail.AccountID, error) {
	res, err := r.resolve(alias)
	switch k := mail.KindOf(err); {
	case err != nil && (k == mail.TooLarge || k == mail.Invalid):
		return 0, nil
	case err != nil:
		return 0, err
	case len(res.Accounts) != 1 || len(res.Remote) > 0:
		return 0, nil
	}
	return res.Accounts[0], nil
}
