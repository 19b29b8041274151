package store

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"posthouse/mail"
)

// restoredPath is where messages come back whose mailbox is gone.
const restoredPath = "Restored"

// Restored says how many messages came back into a mailbox.
type Restored struct {
	Mailbox  MailboxID
	Path     string
	Messages int
}

// Undelete puts back the messages that were expunged at or after since and have
// not been reaped: each once, with the flags that it had but \Deleted, into the
// mailbox that it was in last, with a new UID, or into one named Restored if that
// mailbox is gone. A message that is still in some mailbox, as one that was moved
// or copied, stays where it is. OverQuota if there is no room for all of them.
// What the same transaction expunged is not seen.
func (tx *Tx) Undelete(since time.Time) ([]Restored, error) {
	if err := tx.existing("Undelete"); err != nil {
		return nil, err
	}
	if err := tx.owned("Undelete"); err != nil {
		return nil, err
	}
	tx.settle()
	lost, err := tx.lost(since.Unix())
	if err != nil {
		return nil, wrap("Undelete", err)
	}
	groups, err := tx.revive(lost)
	if err != nil {
		return nil, wrap("Undelete", err)
	}
	if err := tx.roomBack(groups); err != nil {
		return nil, err
	}
	if n := len(groups); n > 0 && groups[n-1].mailbox == 0 {
		if groups[n-1].mailbox, err = tx.create(NewMailbox{Path: restoredPath, Subscribe: true}); err != nil {
			return nil, err
		}
	}
	var done []Restored
	for _, g := range groups {
		b := tx.st.box(g.mailbox)
		for i := range g.rows {
			r := &g.rows[i]
			r.UID, r.SaveDate, r.ModSeq = b.mb.UIDNext+UID(i), tx.now, tx.modseq
		}
		tx.enter(g.mailbox, g.rows)
		if err := tx.copyNotes("Undelete", tx, &noteCopy{g.from, places(g.mailbox, g.rows)}, everybody); err != nil {
			return nil, err
		}
		if err := tx.countIn(g.rows, true); err != nil {
			return nil, err
		}
		done = append(done, Restored{g.mailbox, b.mb.Path, len(g.rows)})
	}
	return done, nil
}

// A loss is the last membership that a message had.
type loss struct {
	mailbox MailboxID
	row     Row
}

// lost returns the messages that were expunged since a time and are in no mailbox,
// as they were last, by mailbox and UID.
func (tx *Tx) lost(since int64) ([]loss, error) {
	last := map[EmailID]loss{}
	var failed error
	err := tx.reader().Scan(deadKey(since, 0, 0), []byte{keyDead + 1}, func(k, v []byte) bool {
		if len(k) != deadKeyLen {
			failed = corrupt("expunged")
			return false
		}
		at := int64(binary.BigEndian.Uint64(k[1:]))
		failed = decodeDead(v, func(d *deads) {
			i := 0
			for u := range d.uids.All() {
				r := Row{UID: u, Email: d.emails[i], InternalDate: at}
				if d.dates != nil {
					r.Flags, r.InternalDate = d.flags[i], d.dates[i]
				}
				last[r.Email] = loss{d.mailbox, r}
				i++
			}
		})
		return failed == nil
	})
	if failed != nil || err != nil {
		return nil, cmp.Or(failed, err)
	}
	for _, b := range tx.st.boxes {
		if len(last) == 0 {
			break
		}
		if b.mb.NoSelect || b.mb.Messages == 0 {
			continue
		}
		c, err := b.lazy.load()
		if err != nil {
			return nil, err
		}
		for i := range c.dir {
			k := c.dir[i].c
			for j := range k.cols.uid {
				delete(last, k.cols.email.at(j))
			}
		}
	}
	all := make([]loss, 0, len(last))
	for _, l := range last {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b loss) int {
		return cmp.Or(cmp.Compare(a.mailbox, b.mailbox), cmp.Compare(a.row.UID, b.row.UID), cmp.Compare(a.row.Email, b.row.Email))
	})
	return all, nil
}

// A revival is what comes back into one mailbox; 0 stands for restoredPath.
type revival struct {
	mailbox MailboxID
	rows    []Row
	from    []Membership // where each was
}

// revive makes rows of what was lost, those for restoredPath last.
func (tx *Tx) revive(lost []loss) ([]revival, error) {
	t := tx.st.flags
	var groups []revival
	elsewhere := revival{}
	for _, l := range lost {
		e, err := tx.email(l.row.Email)
		if err != nil {
			return nil, err
		}
		if int(l.row.Flags) >= len(t.sets) {
			return nil, corrupt("expunged")
		}
		kept := combine(FlagsRemove, &t.sets[l.row.Flags], &flagSet{system: DeletedBit})
		if l.row.Flags, err = tx.acct.index.number(&t, kept); err != nil {
			return nil, err
		}
		l.row.Size = uint32(e.Size)
		if b := tx.st.box(l.mailbox); b == nil || b.mb.NoSelect {
			elsewhere.rows = append(elsewhere.rows, l.row)
			elsewhere.from = append(elsewhere.from, Membership{l.mailbox, l.row.UID})
			continue
		}
		if n := len(groups); n == 0 || groups[n-1].mailbox != l.mailbox {
			groups = append(groups, revival{mailbox: l.mailbox})
		}
		g := &groups[len(groups)-1]
		g.rows = append(g.rows, l.row)
		g.from = append(g.from, Membership{l.mailbox, l.row.UID})
	}
	if len(groups) > 0 || len(elsewhere.rows) > 0 {
		tx.st.flags = t
	}
	if len(elsewhere.rows) == 0 {
		return groups, nil
	}
	// Its mailbox may be there and get messages of its own back as well.
	if b := tx.st.boxByPath(restoredPath); b != nil && !b.mb.NoSelect {
		elsewhere.mailbox = b.mb.ID
	}
	return append(groups, elsewhere), nil
}

// roomBack checks that all of it may come back.
func (tx *Tx) roomBack(groups []revival) error {
	var size int64
	n := 0
	for _, g := range groups {
		if b := tx.st.box(g.mailbox); b != nil && uint64(b.mb.UIDNext)+uint64(len(g.rows)) > 1<<32-1 {
			return fail(mail.OverQuota, "Undelete", "mailbox has no UIDs left")
		}
		size += sizeOf(g.rows)
		n += len(g.rows)
		if g.mailbox != 0 {
			continue
		}
		if old := tx.st.boxByPath(restoredPath); old == nil {
			if err := tx.mailboxRoom(restoredPath); err != nil {
				return err
			}
		}
	}
	if q := tx.st.hdr.quota.Messages; q > 0 && n > 0 && tx.st.hdr.messages+int64(n) > q {
		return fail(mail.OverQuota, "Undelete", "there is no room for all of it")
	}
	return tx.space("Undelete", size)
}
