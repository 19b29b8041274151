package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"posthouse/mail"
	"posthouse/store/engine"
)

// sharing: lists belong to mailboxes that can be shared, and the index has each of
// their entries.
func (c *checker) sharing() error {
	g := c.store.eng.Snapshot(0)
	defer g.Close()
	again := c.store.eng.Snapshot(c.id)
	same := again.Version() == c.r.Version()
	again.Close()
	return c.scan(keyACL, 8, func(k, v []byte) error {
		id := MailboxID(binary.BigEndian.Uint64(k))
		l, err := decodeACL(v)
		if err != nil {
			c.faultf("mailbox %d: %v", id, err)
			return nil
		}
		if b := c.st.box(id); b == nil || b.mb.NoSelect {
			c.faultf("mailbox %d is shared, but does not exist", id)
			return nil
		}
		for _, e := range l {
			if e.who == c.id {
				c.faultf("mailbox %d is shared with its owner", id)
			}
			_, err := g.Get(sharedKey(sharedPrefix(e.who, c.st.hdr.domain), c.id, id))
			if errors.Is(err, engine.ErrNotFound) && same {
				c.faultf("mailbox %d is shared with %d, but the index does not know", id, e.who)
			} else if err != nil && !errors.Is(err, engine.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

// notes: each is of a message that is there or waits for the reaper, and those of the
// mailbox's messages make its sum. It returns the sum of all.
func (c *checker) notes() (all int64, err error) {
	sums := map[MailboxID]int64{}
	err = scan(c.r, []byte{keyNote}, func(k, rec []byte) error {
		n, err := decodeNote(append([]byte{keyNote}, k...), rec)
		if err != nil {
			return err
		}
		if name, ok := annotationName(n.Name); !ok || name != n.Name {
			c.faultf("an annotation is named %q", n.Name)
		}
		if have := c.content[n.mailbox]; have != nil {
			if _, there := have.search(n.uid); there {
				sums[n.mailbox] += n.size()
				return nil
			}
		}
		if !c.gone[Membership{n.mailbox, n.uid}] {
			c.faultf("mailbox %d: annotation %q of UID %d, which is not there", n.mailbox, n.Name, n.uid)
		}
		return nil
	})
	for _, b := range c.st.boxes {
		if sum := sums[b.mb.ID]; sum != b.noted {
			c.faultf("mailbox %d counts %d bytes of annotations of messages, there are %d", b.mb.ID, b.noted, sum)
		}
		all += b.noted
	}
	return all, err
}

// seen: what others have seen is well-formed and of messages that were there.
func (c *checker) seen() error {
	return c.scan(keySeen, 20, func(k, v []byte) error {
		id, user, base := MailboxID(binary.BigEndian.Uint64(k)), mail.AccountID(binary.BigEndian.Uint64(k[8:])), UID(binary.BigEndian.Uint32(k[16:]))
		s, err := decodeSeen(base, v)
		if err != nil {
			c.faultf("mailbox %d: account %d from UID %d: %v", id, user, base, err)
			return nil
		}
		b := c.st.box(id)
		if b == nil || b.mb.NoSelect || user == 0 || user == c.id {
			c.faultf("account %d has seen messages of mailbox %d, which it cannot", user, id)
			return nil
		}
		for _, r := range s.runs {
			if r.last >= b.mb.UIDNext || r.modseq > c.st.hdr.modseq {
				c.faultf("mailbox %d: account %d has seen UID %d with ModSeq %d, which were never given", id, user, r.last, r.modseq)
			}
		}
		return nil
	})
}

// checkIndex: what the index of sharing has leads to an entry of a list.
func (s *Store) checkIndex(report func(id mail.AccountID, problem string)) error {
	return s.strayShares(func(x Shared, _ []byte) {
		report(x.Owner, fmt.Sprintf("the index shares mailbox %d, its list does not", x.Mailbox))
	})
}

// strayShares calls f with what the index of sharing has and no list.
func (s *Store) strayShares(f func(x Shared, key []byte)) error {
	g := s.eng.Snapshot(0)
	defer g.Close()
	return scan(g, []byte{keyStore}, func(k, _ []byte) error {
		x, who, domain, ok := decodeShared(k)
		if !ok {
			return nil
		}
		named, err := s.named(x, who, domain)
		if err != nil || named {
			return err
		}
		now := s.eng.Snapshot(0) // it may have gone meanwhile
		defer now.Close()
		key := append([]byte{keyStore}, k...)
		_, err = now.Get(key)
		if errors.Is(err, engine.ErrNotFound) {
			return nil
		}
		if err == nil {
			f(x, key)
		}
		return err
	})
}

// named reports whether the list of a mailbox has an entry for somebody, in domain.
func (s *Store) named(x Shared, who mail.AccountID, domain string) (bool, error) {
	r := s.eng.Snapshot(x.Owner)
	defer r.Close()
	v, err := r.Get(aclKey(x.Mailbox))
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l, err := decodeACL(v)
	if err != nil {
		return true, nil // the account's own check says so
	}
	if _, there := l.find(who); !there || who != Anyone {
		return there, nil
	}
	if v, err = r.Get([]byte{keyAccount}); err != nil {
		return false, err
	}
	h, err := decodeHeader(v)
	return err != nil || h.domain == domain, nil
}

// decodeShared reads a key of the index of sharing, without its first byte.
func decodeShared(k []byte) (x Shared, who mail.AccountID, domain string, ok bool) {
	n := len(k) - 16
	if n < 2 {
		return x, 0, "", false
	}
	x = Shared{mail.AccountID(binary.BigEndian.Uint64(k[n:])), MailboxID(binary.BigEndian.Uint64(k[n+8:]))}
	switch kind, rest := k[0], k[1:n]; {
	case kind == sharedWith && len(rest) == 8:
		return x, mail.AccountID(binary.BigEndian.Uint64(rest)), "", true
	case kind == sharedIn && rest[len(rest)-1] == 0:
		return x, Anyone, string(rest[:len(rest)-1]), true
	}
	return x, 0, "", false
}
