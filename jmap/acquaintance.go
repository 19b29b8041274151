package jmap

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"posthouse/mail"
	"posthouse/search"
	"posthouse/store"
)

// acquaintances are the addresses that an account has written to and heard from, and
// its contacts. They are made of the records of its newest messages when somebody
// first asks, and follow the log.
type acquaintances struct {
	mu      sync.Mutex // nests in nothing but is held while the account is read
	ready   bool
	pos     store.LogPos
	byMail  map[string]*acquaintance   // by address, lower case
	byName  map[string]string          // the address of those that were written to, by name
	sent    map[store.EmailID]struct{} // messages that were counted as sent
	highest store.EmailID              // of those received that were counted
	cards   map[string]string          // ids of contacts, by address
}

// An acquaintance is one address.
type acquaintance struct {
	name, email    string
	sent, received int
	first          store.EmailID // the first that came from it; 0: none
	last           int64         // when something was sent or came last, Unix seconds
	lastSent       int64         // when something was sent last
}

// Bounds of what is read and kept of an account.
const (
	acquaintanceMessages = 10_000 // newest of a mailbox that are looked at, and of all others together
	acquaintanceMost     = 20_000 // addresses
)

// acquainted runs f with the acquaintances of the account, up to date with v.
func (c *call) acquainted(v *store.View, f func(p *acquaintances)) error {
	p := &c.acct.index.people
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.syncLocked(v, c.acct.shared); err != nil {
		return err
	}
	f(p)
	return nil
}

func (p *acquaintances) syncLocked(v *store.View, shared bool) error {
	if p.ready && p.pos >= v.LogEnd() {
		return nil
	}
	if p.ready {
		err := p.followLocked(v, shared)
		if err == nil || mail.KindOf(err) != mail.NotFound {
			return err
		}
	}
	p.ready = false
	p.byMail, p.byName = map[string]*acquaintance{}, map[string]string{}
	p.sent, p.highest = map[store.EmailID]struct{}{}, 0
	left := acquaintanceMessages
	for _, m := range v.Mailboxes() {
		if m.NoSelect || m.Role == mail.RoleJunk || m.Role == mail.RoleTrash || m.Role == mail.RoleDrafts {
			continue
		}
		most := left
		if m.Role == mail.RoleSent {
			most = acquaintanceMessages
		}
		n, err := p.readLocked(v, m, most)
		if err != nil {
			return err
		}
		if m.Role != mail.RoleSent {
			left -= n
		}
	}
	if err := p.contactsLocked(v, shared); err != nil {
		return err
	}
	p.ready, p.pos = true, v.LogEnd()
	return nil
}

// readLocked takes in the newest messages of a mailbox.
func (p *acquaintances) readLocked(v *store.View, m *store.Mailbox, most int) (n int, err error) {
	snap, err := v.Snapshot(m.ID)
	if err != nil || snap == nil {
		return 0, err
	}
	rows := make([]store.Row, 0, min(most, snap.Len()))
	for _, row := range snap.Rows(max(0, snap.Len()-most), snap.Len()) {
		rows = append(rows, row)
	}
	return len(rows), p.takeLocked(v, rows, m.Role == mail.RoleSent)
}

// takeLocked takes in messages that were sent or received.
func (p *acquaintances) takeLocked(v *store.View, rows []store.Row, sent bool) error {
	highest := p.highest
	err := v.Emails(rows, func(i int, e *store.Email) bool {
		_, twice := p.sent[e.ID]
		if twice && sent || !sent && p.ready && e.ID <= highest { // moved here
			return true
		}
		if sent {
			p.sent[e.ID] = struct{}{}
		} else {
			p.highest = max(p.highest, e.ID)
		}
		search.Addresses(e.Envelope, func(list int, name, address string) {
			if sent == (list >= search.EnvelopeTo) && (sent || list == search.EnvelopeFrom) {
				p.noteLocked(name, address, e.ID, rows[i].InternalDate, sent)
			}
		})
		return true
	})
	return err
}

func (p *acquaintances) noteLocked(name, address string, id store.EmailID, at int64, sent bool) {
	key := strings.ToLower(address)
	a := p.byMail[key]
	if a == nil {
		if len(p.byMail) >= acquaintanceMost {
			return
		}
		a = &acquaintance{email: address}
		p.byMail[key] = a
	}
	if name != "" && !strings.EqualFold(name, address) && (a.name == "" || at >= a.last) {
		a.name = name
	}
	a.last = max(a.last, at)
	if !sent {
		if a.received++; a.first == 0 || id < a.first {
			a.first = id
		}
		return
	}
	a.sent++
	a.lastSent = max(a.lastSent, at)
	p.nameLocked(a.name, key)
}

// nameLocked notes by which name somebody is known.
func (p *acquaintances) nameLocked(name, key string) {
	if n := plainName(name); strings.Contains(n, " ") { // one word is too common to be told from others
		p.byName[n] = key
	}
}

func plainName(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// followLocked takes in what the log says since.
func (p *acquaintances) followLocked(v *store.View, shared bool) error {
	added := map[store.MailboxID]*store.UIDSet{}
	cards := false
	err := v.Changes(p.pos, func(ch store.Change) bool {
		switch ch.Kind {
		case store.Added:
			if added[ch.Mailbox] == nil {
				added[ch.Mailbox] = new(store.UIDSet)
			}
			for u := range ch.UIDs.All() {
				added[ch.Mailbox].Add(u)
			}
		case store.ObjectMade, store.ObjectPut, store.ObjectDeleted:
			cards = cards || ch.Object.Kind == store.ObjectContact
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, id := range slices.SortedFunc(maps.Keys(added), cmp.Compare[store.MailboxID]) {
		m, err := v.MailboxByID(id)
		if mail.KindOf(err) == mail.NotFound && err != nil || err == nil && (m.NoSelect || m.Role == mail.RoleJunk || m.Role == mail.RoleTrash || m.Role == mail.RoleDrafts) {
			continue
		}
		if err != nil {
			return err
		}
		snap, err := v.Snapshot(id)
		if err != nil {
			return err
		}
		if err := p.takeLocked(v, snap.RowsOf(*added[id]), m.Role == mail.RoleSent); err != nil {
			return err
		}
	}
	if cards {
		if err := p.contactsLocked(v, shared); err != nil {
			return err
		}
	}
	p.pos = v.LogEnd()
	return nil
}

// contactsLocked reads the addresses of the contacts.
func (p *acquaintances) contactsLocked(v *store.View, shared bool) error {
	for key := range p.cards {
		if a := p.byMail[key]; a != nil && a.sent+a.received == 0 {
			delete(p.byMail, key)
			delete(p.byName, plainName(a.name))
		}
	}
	p.cards = map[string]string{}
	if shared { // they are the owner's
		return nil
	}
	return v.Objects(store.ObjectContact, func(o store.Object) bool {
		m, err := decodeValues(o.Value)
		if err != nil {
			return true // whoever asks for the contact hears of it
		}
		name := cardName(m)
		for _, address := range cardEmails(m) {
			key := strings.ToLower(address)
			p.cards[key] = o.ID
			if p.byMail[key] == nil {
				p.byMail[key] = &acquaintance{name: name, email: address}
			}
			if name != "" {
				p.byMail[key].name = name
				p.nameLocked(name, key)
			}
		}
		return true
	})
}

// known says what is known of an address that a message came from; id is the message.
func (p *acquaintances) known(name, address string, id store.EmailID) (first, contact bool, sameAs string) {
	key := strings.ToLower(address)
	a := p.byMail[key]
	_, card := p.cards[key]
	contact = card || a != nil && a.sent > 0
	first = !contact && (a == nil || a.first == 0 || a.first >= id)
	if other := p.byName[plainName(name)]; other != "" && other != key {
		sameAs = p.byMail[other].email
	}
	return first, contact, sameAs
}

// domains are those that the account has written to.
func (p *acquaintances) domains() []string {
	set := map[string]bool{}
	for key, a := range p.byMail {
		if _, card := p.cards[key]; card || a.sent > 0 {
			if _, d, ok := strings.Cut(key, "@"); ok {
				set[d] = true
			}
		}
	}
	return sortedKeys(set)
}
