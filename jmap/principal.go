package jmap

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
)

// With whom something can be shared. A principal's id is its address, spelt so that it
// is an id: who does not know an address finds nobody.

// A Sharer knows the accounts and aliases that something can be shared with;
// [directory.Directory] does.
type Sharer interface {
	Identify(ctx context.Context, a mail.Address) (mail.AccountID, error)
	Name(ctx context.Context, id mail.AccountID) (mail.Address, error)
	Senders(ctx context.Context, as mail.Address) ([]mail.Address, error)
	AllowSender(ctx context.Context, as, who mail.Address) error
	DenySender(ctx context.Context, as, who mail.Address) error
}

// anyonePrincipal is everybody of the owner's domain.
const anyonePrincipal = "anyone"

func principalID(a mail.Address) string {
	return "P" + base64.RawURLEncoding.EncodeToString([]byte(a.String()))
}

// principalAddress is the address of a principal's id.
func principalAddress(id string) (mail.Address, bool) {
	text, ok := strings.CutPrefix(id, "P")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil {
		return mail.Address{}, false
	}
	a, ok := oneAddress(string(b))
	return a, ok && principalID(a) == id // each has one id
}

func oneAddress(text string) (mail.Address, bool) {
	list := message.ParseAddresses([]byte(text), 2)
	if len(list) != 1 || list[0].Group || list[0].Address.Domain == "" {
		return mail.Address{}, false
	}
	return list[0].Address, true
}

// grantee is the account or alias that a principal's id names.
func (c *call) grantee(id string) (mail.AccountID, bool, error) {
	if id == anyonePrincipal {
		return store.Anyone, true, nil
	}
	d, can := c.opts.Directory.(Sharer)
	a, ok := principalAddress(id)
	if !ok || !can {
		return 0, false, nil
	}
	n, err := d.Identify(c.ctx, a)
	if k := mail.KindOf(err); err != nil && (k == mail.NotFound || k == mail.Invalid) {
		return 0, false, nil
	}
	return n, err == nil, err
}

// granteeID is the id of the principal that stands in a list; "" if it is gone.
func (c *call) granteeID(who mail.AccountID) (string, error) {
	if who == store.Anyone {
		return anyonePrincipal, nil
	}
	d, can := c.opts.Directory.(Sharer)
	if !can {
		return "", nil
	}
	a, err := d.Name(c.ctx, who)
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			err = nil
		}
		return "", err
	}
	return principalID(a), nil
}

// principalType is Principal, RFC 9670 §2, of the vendor capability, as it comes without
// notifications.
func principalType() *objectType {
	of := func(f func(p party) any) func(*getter, any) (any, error) {
		return func(_ *getter, r any) (any, error) { return f(r.(party)), nil }
	}
	return &objectType{
		name: "Principal", capability: capPosthouse, noState: true,
		properties: []property{
			{name: "id", typ: "Id", mode: serverSet | immutable},
			{name: "type", typ: "String", mode: serverSet, get: of(func(p party) any { return p.kind })},
			{name: "name", typ: "String", mode: serverSet, get: of(func(p party) any { return p.name })},
			{name: "description", typ: "String|null", mode: serverSet, get: of(func(party) any { return nil })},
			{name: "email", typ: "String|null", mode: serverSet, get: of(func(p party) any { return textOrNull(p.email) })},
			{name: "timeZone", typ: "String|null", mode: serverSet, get: of(func(party) any { return nil })},
			{name: "accounts", typ: "Id[Any]|null", mode: serverSet, get: of(func(party) any { return nil })},
		},
		load:  loadPrincipals,
		query: &queryType{filters: map[string]filterProperty{"email": {"String"}}, run: queryPrincipals},
	}
}

// A party is a principal: one person, a group (an alias), or anyone.
type party struct{ kind, name, email string }

// loadPrincipals finds principals; for nil the user alone.
func loadPrincipals(c *call, _ *store.View, ids []string) ([]record, error) {
	if ids == nil {
		ids = []string{principalID(c.who.account.Address)}
	}
	var list []record
	for _, id := range ids {
		n, ok, err := c.grantee(id)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			continue
		case n == store.Anyone:
			list = append(list, record{id, party{kind: "group", name: "anyone"}})
			continue
		}
		a, _ := principalAddress(id)
		p := party{"group", a.Local, a.String()}
		if one, err := c.opts.Directory.Account(c.ctx, n); err == nil {
			p.kind = "individual"
			if one.Address.Domain == c.who.account.Address.Domain && one.Name != "" {
				p.name = one.Name
			}
		}
		list = append(list, record{id, p})
	}
	return list, nil
}

func queryPrincipals(c *call, v *store.View, q *query) (results, error) {
	var ids []string
	if q.filter != nil {
		text, ok := q.filter.cond["email"].(string)
		if !ok || len(q.filter.cond) != 1 {
			return nil, refused("unsupportedFilter", "one address is asked for")
		}
		a, ok := oneAddress(text)
		if !ok {
			return idList{}, nil
		}
		ids = []string{principalID(a)}
	}
	recs, err := loadPrincipals(c, v, ids)
	out := idList{}
	for _, r := range recs {
		out = append(out, r.id)
	}
	return out, err
}

// sharedRights are the rights of shareWith with those of RFC 4314.
var sharedRights = map[string]store.Rights{
	"mayReadItems": store.RightLookup | store.RightRead, "mayAddItems": store.RightInsert, "mayRemoveItems": store.RightDeleted | store.RightExpunge,
	"maySetSeen": store.RightSeen, "maySetKeywords": store.RightWrite, "mayCreateChild": store.RightCreate, "mayRename": store.RightDelete,
	"mayDelete": store.RightDelete, "maySubmit": store.RightPost, "mayAdmin": store.RightAdminister,
}

// shareWithOf is shareWith of a mailbox: null for who may not see it.
func shareWithOf(g *getter, rec any) (any, error) {
	m := rec.(*store.Mailbox)
	have, err := g.rights(m)
	if err != nil || m.NoSelect || !have.Has(store.RightAdminister) {
		return nil, err
	}
	list, err := g.v.ACL(m.ID)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, e := range list {
		if e.Negative || e.Who == g.acct.ID() {
			continue
		}
		id, err := g.granteeID(e.Who)
		if err != nil {
			return nil, err
		}
		if id != "" {
			one := map[string]any{}
			for name, r := range sharedRights {
				one[name] = e.Rights.Has(r)
			}
			all[id] = one
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

// share makes the list of a mailbox what shareWith says. What JMAP has no word for stays
// with who keeps any right.
func (s *setter) share(id store.MailboxID, v any) error {
	want := map[mail.AccountID]store.Rights{}
	given, _ := v.(map[string]any)
	for name, rights := range given {
		who, ok, err := s.grantee(name)
		if err != nil {
			return err
		}
		if !ok || who == s.acct.ID() {
			return invalidProperties("there is nobody of this id to share with", "shareWith/"+name)
		}
		r, bad := rightsFrom(rights)
		if bad != "" {
			return invalidProperties("not a right", "shareWith/"+name+"/"+bad)
		}
		want[who] |= r
	}
	list, err := s.tx.ACL(id)
	if err != nil {
		return err
	}
	for _, e := range list {
		if _, named := want[e.Who]; !named && !e.Negative && e.Who != s.acct.ID() {
			want[e.Who] = store.NoRights
		}
	}
	for _, who := range slices.Sorted(maps.Keys(want)) {
		had, err := s.tx.Granted(id, who, false)
		if err != nil {
			return err
		}
		r := want[who]
		if r != store.NoRights {
			r |= store.RightLookup | had&store.RightAnnotate
		}
		if r == had {
			continue
		}
		if err := s.tx.SetACL(id, store.Grant{Who: who, Rights: r}); err != nil {
			return err
		}
	}
	return nil
}

// rightsFrom reads an object of rights; bad names what is none.
func rightsFrom(v any) (r store.Rights, bad string) {
	m, _ := v.(map[string]any)
	for name, val := range m {
		right, known := sharedRights[name]
		if !known {
			return 0, name
		}
		if val == true {
			r |= right
		}
	}
	return r, ""
}

// identityShares is the vendor property shareWith of Identity: who else may send as the
// address of the account; null for other addresses, which are not the owner's to give.
func identityShares() property {
	return property{name: "shareWith", typ: "Id[String[Boolean]]|null", mode: optional | onRequest, get: func(g *getter, rec any) (any, error) {
		as, ok, err := g.ownAddress(rec.(values))
		if err != nil || !ok {
			return nil, err
		}
		list, err := g.opts.Directory.(Sharer).Senders(g.ctx, as)
		all := map[string]any{}
		for _, a := range list {
			all[principalID(a)] = map[string]any{"maySend": true}
		}
		return all, err
	}}
}

// ownAddress is the address of an identity if it is the account's own, and the user its
// owner.
func (c *call) ownAddress(identity values) (mail.Address, bool, error) {
	_, can := c.opts.Directory.(Sharer)
	if !can || c.acct.shared {
		return mail.Address{}, false, nil
	}
	owner, err := c.opts.Directory.Account(c.ctx, c.acct.ID())
	text, _ := identity["email"].(string)
	return owner.Address, err == nil && text == owner.Address.String(), err
}

// shareIdentity makes the grants of the directory what shareWith says.
func (s *setter) shareIdentity(identity values, v any) error {
	as, ok, err := s.ownAddress(identity)
	if err != nil {
		return err
	}
	if !ok {
		return unfit("forbidden", "it is not yours to let others send as this address")
	}
	d := s.opts.Directory.(Sharer)
	given, _ := v.(map[string]any)
	want := map[mail.Address]bool{}
	for name, rights := range given {
		a, ok := principalAddress(name)
		m, _ := rights.(map[string]any)
		for right := range m {
			ok = ok && right == "maySend"
		}
		if _, known, err := s.grantee(name); err != nil || !known || !ok || a == as {
			if err == nil {
				err = invalidProperties("there is nobody of this id who could send as you", "shareWith/"+name)
			}
			return err
		}
		if m["maySend"] == true {
			want[a] = true
		}
	}
	have, err := d.Senders(s.ctx, as)
	if err != nil {
		return err
	}
	for _, a := range have {
		if !want[a] {
			if err := d.DenySender(s.ctx, as, a); err != nil && mail.KindOf(err) != mail.NotFound {
				return err
			}
		}
		delete(want, a)
	}
	for a := range want {
		if err := d.AllowSender(s.ctx, as, a); err != nil {
			return err
		}
	}
	return nil
}
