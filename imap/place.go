package imap

import (
	"context"
	"slices"
	"strings"

	"posthouse/mail"
	"posthouse/store"
)

// Neighbours know who may be named in access control lists, and how;
// [directory.Directory] does.
type Neighbours interface {
	// Groups are those that an account belongs to.
	Groups(ctx context.Context, id mail.AccountID) ([]mail.AccountID, error)
	// Identify finds the account or group of an address; NotFound.
	Identify(ctx context.Context, a mail.Address) (mail.AccountID, error)
	// Name is the address of an account or group; NotFound.
	Name(ctx context.Context, id mail.AccountID) (mail.Address, error)
}

// The namespaces of mailboxes that belong to others, RFC 2342 §5: of people, and of
// accounts that are there for all (Options.SharedAccounts). A mailbox of one's own
// whose name begins like that goes before them.
const (
	othersPrefix = "Other Users/"
	sharedPrefix = "Shared Folders/"
)

// A target is a mailbox as a client names it.
type target struct {
	acct *store.Account // whose it is, as this user may use it
	path string         // its name in that account
	name string         // as the client names it
}

// own reports whether it is one's own.
func (t *target) own() bool { return t.path == t.name }

// mailbox finds it.
func (t *target) mailbox(v *store.View) (*store.Mailbox, error) { return v.Mailbox(t.path) }

// shown is m under the name that the client has for it.
func (t *target) shown(m *store.Mailbox) *store.Mailbox {
	if t.own() {
		return m
	}
	n := *m
	n.Path = t.name
	return &n
}

var errNoMailbox = &mail.Error{Kind: mail.NotFound, Op: "imap.target", Text: "no such mailbox"}

// target resolves the name of a mailbox. Of an owner who is not there, or shares
// nothing, it is told what is told of any mailbox that does not exist.
func (c *conn) target(name string) (target, error) {
	t := target{c.acct, name, name}
	owner, path, ok := c.ownerOf(name)
	if !ok {
		return t, nil
	}
	ours := false
	err := c.acct.View(c.ctx, func(v *store.View) error {
		_, err := v.Mailbox(name)
		ours = err == nil
		return nil
	})
	if err != nil || ours {
		return t, err
	}
	if path == "" {
		return t, errNoMailbox
	}
	id, err := c.srv.opts.Neighbours.Identify(c.ctx, owner)
	if err == nil && id == c.user.ID {
		return t, errNoMailbox // one's own have their own names
	}
	if err == nil {
		t.acct, err = c.neighbour(id)
	}
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			err = errNoMailbox
		}
		return t, err
	}
	t.path = path
	return t, nil
}

// ownerOf splits a name in a namespace of others.
func (c *conn) ownerOf(name string) (owner mail.Address, path string, ok bool) {
	if c.srv.opts.Neighbours == nil {
		return owner, "", false
	}
	rest, ok := strings.CutPrefix(name, othersPrefix)
	if !ok {
		if rest, ok = strings.CutPrefix(name, sharedPrefix); !ok {
			return owner, "", false
		}
	}
	who, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(who, '@')
	if at <= 0 || c.isShared(who) != strings.HasPrefix(name, sharedPrefix) {
		return owner, "", true
	}
	return mail.Address{Local: who[:at], Domain: mail.Domain(strings.ToLower(who[at+1:]))}, path, true
}

// isShared reports whether an account is there for all.
func (c *conn) isShared(address string) bool {
	return slices.ContainsFunc(c.srv.opts.SharedAccounts, func(a string) bool { return strings.EqualFold(a, address) })
}

// neighbour is another account as this user may use it; NotFound if it shares nothing
// with him.
func (c *conn) neighbour(id mail.AccountID) (*store.Account, error) {
	p, err := c.principal()
	if err != nil {
		return nil, err
	}
	owners, err := c.srv.opts.Store.SharedOwners(c.ctx, p)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(owners, id) {
		return nil, errNoMailbox
	}
	acct, err := c.srv.opts.Store.Account(c.ctx, id)
	if err != nil {
		return nil, err
	}
	return acct.As(p), nil
}

// principal is this user as access control lists know him.
func (c *conn) principal() (store.Principal, error) {
	groups, err := c.srv.opts.Neighbours.Groups(c.ctx, c.user.ID)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		err = nil
	}
	return store.Principal{Account: c.user.ID, Groups: groups, Domain: c.user.Address.Domain}, err
}

// A place is a mailbox under the name that this user has for it, with the account
// that it is in: nil where the name only stands above others.
type place struct {
	*store.Mailbox
	acct *store.Account
}

// A placeKey tells places apart.
type placeKey struct {
	owner mail.AccountID
	id    store.MailboxID
	name  string // of one without an account
}

func (p *place) key() placeKey {
	if p.acct == nil {
		return placeKey{name: p.Path}
	}
	return placeKey{owner: p.acct.ID(), id: p.ID}
}

// same reports whether nothing that is told of a mailbox changed.
func (p *place) same(q *place) bool { return p.Mailbox == q.Mailbox || *p.Mailbox == *q.Mailbox }

// selected reports whether a place is the selected mailbox.
func (c *conn) selected(p *place) bool {
	return c.state == stateSelected && p.acct != nil && c.sel.mailbox == p.ID && c.sel.acct.ID() == p.acct.ID()
}

// neighbourhood are the mailboxes of others that this user may look up, and the names
// above them. subs are his subscriptions.
func (c *conn) neighbourhood(subs []string) ([]place, error) {
	if c.srv.opts.Neighbours == nil {
		return nil, nil
	}
	p, err := c.principal()
	if err != nil {
		return nil, err
	}
	owners, err := c.srv.opts.Store.SharedOwners(c.ctx, p)
	if err != nil || len(owners) == 0 {
		return nil, err
	}
	var all []place
	for _, id := range owners {
		boxes, err := c.mailboxesOf(id, p, subs)
		if err != nil && mail.KindOf(err) != mail.NotFound { // it was deleted just now
			return nil, err
		}
		all = append(all, boxes...)
	}
	all = withParents(all, subs)
	slices.SortStableFunc(all, func(a, b place) int { return comparePaths(a.Path, b.Path) })
	return all, nil
}

// mailboxesOf are the mailboxes of one owner.
func (c *conn) mailboxesOf(id mail.AccountID, p store.Principal, subs []string) (all []place, err error) {
	address, err := c.srv.opts.Neighbours.Name(c.ctx, id)
	if err != nil {
		return nil, err
	}
	acct, err := c.srv.opts.Store.Account(c.ctx, id)
	if err != nil {
		return nil, err
	}
	acct = acct.As(p)
	prefix := othersPrefix
	if c.isShared(address.String()) {
		prefix = sharedPrefix
	}
	prefix += address.String() + "/"
	err = acct.View(c.ctx, func(v *store.View) error {
		for _, m := range v.Mailboxes() {
			n := *m
			n.Path, n.Role = prefix+m.Path, mail.RoleNone // special uses are the owner's (RFC 6154 §2)
			_, n.Subscribed = slices.BinarySearchFunc(subs, n.Path, comparePaths)
			all = append(all, place{&n, acct})
		}
		return nil
	})
	return all, err
}

// withParents adds the names that stand above mailboxes without being one.
func withParents(all []place, subs []string) []place {
	known := make(map[string]bool, len(all))
	for i := range all {
		known[all[i].Path] = true
	}
	for _, p := range all[:len(all):len(all)] {
		for i := strings.LastIndexByte(p.Path, '/'); i > 0; i = strings.LastIndexByte(p.Path[:i], '/') {
			above := p.Path[:i]
			if known[above] {
				break
			}
			known[above] = true
			_, sub := slices.BinarySearchFunc(subs, above, comparePaths)
			all = append(all, place{Mailbox: &store.Mailbox{Path: above, NoSelect: true, HasChildren: true, Subscribed: sub}})
		}
	}
	return all
}

// allowed reports why the reader of v may not do something with a mailbox that it was
// shown: who may not look it up is told that it is not there (RFC 4314 §6).
func allowed(v *store.View, m *store.Mailbox, need store.Rights) error {
	r, err := v.Rights(m.ID)
	switch {
	case err != nil || r.Has(need):
		return err
	case r.Has(store.RightLookup):
		return &mail.Error{Kind: mail.Denied, Op: "imap.allowed", Text: "the owner of the mailbox does not allow this"}
	}
	return errNoMailbox
}
