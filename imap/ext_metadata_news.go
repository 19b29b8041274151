package imap

import (
	"slices"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// metadataNews says that annotations changed: of a mailbox, or, without one, of the
// account.
type metadataNews struct {
	mailbox store.MailboxID
	user    mail.AccountID // to whom they are private; 0: shared
	entries []string
}

// maxMetadataNews is how many changes wait for a client that says nothing; what comes on
// top is not told, as RFC 5464 §4.4.2 allows.
const maxMetadataNews = 100

// spreadMetadata lets the other connections of an account know what this one changed.
// All annotations are set over IMAP, so nobody else has to.
func (c *conn) spreadMetadata(acct *store.Account, news metadataNews) {
	s := c.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, nc := range s.conns {
		if other == c || !other.hungry.Load() || other.owner != acct.ID() || news.user != 0 && news.user != other.owner {
			continue
		}
		if len(other.news) < maxMetadataNews {
			other.news = append(other.news, news)
			other.wake(nc)
		}
	}
}

// tellMetadata tells of annotations that others changed: with ENABLE METADATA of all (RFC
// 5464 §4.4.2), with NOTIFY of those that were asked for (RFC 5465 §5.6 and §5.7).
func (c *conn) tellMetadata() error {
	if !c.hungry.Load() {
		return nil
	}
	news := c.takeNews()
	if len(news) == 0 || c.state&loggedIn == 0 {
		return nil
	}
	return c.acct.View(c.ctx, func(v *store.View) error {
		for _, n := range news {
			path := ""
			if n.mailbox != 0 {
				m, err := v.MailboxByID(n.mailbox)
				if err != nil {
					continue // it went with its annotations
				}
				if path = m.Path; c.notify != nil && !c.notify.wantsMetadata(&place{m, c.acct}, c) {
					continue
				}
			} else if c.notify != nil && !c.notify.serverMetadata {
				continue
			}
			c.say("* METADATA ")
			c.out = c.dia.appendMailbox(c.out, path)
			for _, e := range n.entries {
				c.out = wire.AppendAstring(append(c.out, ' '), e, c.dia.utf8())
			}
			c.say("\r\n")
		}
		return nil
	})
}

func (c *conn) takeNews() []metadataNews {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	news := c.news
	c.news = nil
	return news
}

// feed begins or ends to take news; what came before is forgotten.
func (c *conn) feed() {
	c.hungry.Store(c.metadataOn || c.notify != nil)
	c.takeNews()
}

// wantsMetadata reports whether the client asked for changes of a mailbox's annotations.
func (n *notification) wantsMetadata(p *place, c *conn) bool {
	return n.wants(p)&eventMailboxMetadata != 0 || c.selected(p) && n.selected.want&eventMailboxMetadata != 0
}

// spreadEntries tells of the entries of one SETMETADATA.
func (c *conn) spreadEntries(acct *store.Account, id store.MailboxID, list []entry) {
	for _, user := range []mail.AccountID{0, c.user.ID} {
		var names []string
		for i := range list {
			if list[i].private == (user != 0) && !slices.Contains(names, list[i].text) {
				names = append(names, list[i].text)
			}
		}
		if len(names) > 0 {
			c.spreadMetadata(acct, metadataNews{id, user, names})
		}
	}
}
