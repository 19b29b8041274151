package store

import (
	"context"
	"slices"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A Transfer is messages to be copied or moved from a mailbox to one of another
// account; each account as somebody may use it, see [Account.As].
type Transfer struct {
	From, To     *Account
	Source, Dest MailboxID
	UIDs         UIDSet
	Move         bool
}

// Transfer copies or moves the messages that exist, as one transaction of both
// accounts. Their bytes stay where they are. They keep flags and internal date, as far
// as the rights in the other account let set them. Within one account it is what
// Copy and Move do. Denied, OverQuota, NotFound.
func (s *Store) Transfer(ctx context.Context, t Transfer) (done Copied, err error) {
	if t.From.account == t.To.account {
		err = t.From.Update(ctx, func(tx *Tx) (err error) {
			if t.Move {
				done, err = tx.Move(t.Source, t.Dest, t.UIDs)
			} else {
				done, err = tx.Copy(t.Source, t.Dest, t.UIDs)
			}
			return err
		})
		return done, err
	}
	err = s.update(ctx, []*Account{t.From, t.To}, nil, func(txs []*Tx) (err error) {
		done, err = txs[1].take(txs[0], &t)
		return err
	})
	return done, err
}

// take makes messages of another account's transaction our own.
func (tx *Tx) take(from *Tx, t *Transfer) (Copied, error) {
	const op = "Transfer"
	need := RightRead
	if t.Move {
		need |= RightDeleted | RightExpunge
	}
	src, err := from.enterable(op, t.Source, need)
	if err != nil {
		return Copied{}, err
	}
	dest, err := tx.enterable(op, t.Dest, RightInsert)
	if err != nil {
		return Copied{}, err
	}
	c, err := from.content(src)
	if err != nil {
		return Copied{}, wrap(op, err)
	}
	rows := c.rows(t.UIDs)
	done := Copied{UIDValidity: dest.mb.UIDValidity}
	if len(rows) == 0 {
		return done, nil
	}
	if err := tx.room(op, dest, len(rows), sizeOf(rows)); err != nil {
		return Copied{}, err
	}
	for i := range rows {
		done.Source.push(rows[i].UID)
	}
	done.Dest = UIDSet{{dest.mb.UIDNext, dest.mb.UIDNext + UID(len(rows)-1)}}
	notes := noteCopy{from: places(t.Source, rows)}
	if err := tx.adopt(from, dest, rows); err != nil {
		return Copied{}, err
	}
	if notes.to = places(t.Dest, rows); src.noted > 0 {
		if err := tx.copyNotes(op, from, &notes, from.mine); err != nil {
			return Copied{}, err
		}
	}
	if t.Move {
		_, err = from.expunge(op, src, done.Source)
	}
	return done, err
}

// adopt puts messages of another account into a mailbox.
func (tx *Tx) adopt(from *Tx, dest *box, rows []Row) error {
	table := &from.st.flags
	known := map[FlagSet][2]FlagSet{} // there: here, and 1 if seen
	next := dest.mb.UIDNext
	var seen UIDSet
	r := tx.rights(dest)
	given := map[EmailID]*Email{}
	for i := range rows {
		row := &rows[i]
		f, ok := known[row.Flags]
		if !ok {
			set := table.at(row.Flags)
			n, err := tx.addFlagSet(table.flags(&set))
			if err == nil && tx.who != nil {
				var mine bool
				n, mine, err = tx.split(n, r)
				f[1] = FlagSet(bit(mine))
			}
			if err != nil {
				return err
			}
			f[0] = n
			known[row.Flags] = f
		}
		e := given[row.Email]
		if e == nil {
			old, err := from.email(row.Email)
			if err == nil {
				e, err = tx.adoptEmail(old)
			}
			if err != nil {
				return err
			}
			given[row.Email] = e
		}
		*row = Row{UID: next + UID(i), Flags: f[0], Size: row.Size, InternalDate: row.InternalDate, SaveDate: tx.now, ModSeq: tx.modseq, Email: e.ID}
		if f[1] != 0 {
			seen.push(row.UID)
		}
	}
	if len(given) == len(rows) {
		tx.enter(dest.mb.ID, rows)
		if err := tx.countIn(rows, true); err != nil {
			return err
		}
		return tx.seeNew(dest.mb.ID, seen)
	}
	tx.enter(dest.mb.ID, rows)
	if err := tx.countTwice(rows); err != nil {
		return err
	}
	return tx.seeNew(dest.mb.ID, seen)
}

// countTwice counts new messages of which some are in the mailbox more than once.
func (tx *Tx) countTwice(rows []Row) error {
	first := map[EmailID]bool{}
	for i := range rows {
		if err := tx.countIn(rows[i:i+1], !first[rows[i].Email]); err != nil {
			return err
		}
		first[rows[i].Email] = true
	}
	return nil
}

// adoptEmail writes our own record of a message of another account.
func (tx *Tx) adoptEmail(old *Email) (*Email, error) {
	e := *old
	e.ID, e.Thread, e.blob = tx.st.hdr.nextEmail, 0, 0
	if e.fresh = old.fresh; old.fresh == nil || old.fresh.ID != 0 {
		e.fresh = tx.group.known(old.blobID())
	}
	return &e, tx.putEmail(&e)
}

// known returns the source of bytes that are stored, the same for all accounts of an
// update.
func (g *group) known(id engine.BlobID) *engine.Blob {
	if g.linked == nil {
		g.linked = map[engine.BlobID]*engine.Blob{}
	}
	b := g.linked[id]
	if b == nil {
		b = &engine.Blob{ID: id}
		g.linked[id] = b
	}
	return b
}

// flags lists the flags of a set.
func (t *flagTable) flags(s *flagSet) []mail.Flag {
	var all []mail.Flag
	for i, f := range systemFlags {
		if s.system&(1<<i) != 0 {
			all = append(all, f)
		}
	}
	for _, k := range s.keywords {
		all = append(all, t.keywords[k])
	}
	return slices.Clip(all)
}
