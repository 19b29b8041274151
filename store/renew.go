package store

import (
	"context"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

const (
	// renewRate: numbers that count transactions go on at the time, in seconds,
	// times this: above all that can have been given before, by the store that was
	// lost or by another restore, unless an account did a million transactions
	// each second. They stay below 2^53 for two centuries.
	renewRate = 1 << 20
	// renewAccounts share a commit.
	renewAccounts = 64
)

// Renew makes all accounts safe to show to clients that saw a later state than
// this one, which a restore has lost. Every mailbox gets a new UIDVALIDITY, above
// all given before, so that no client takes a new message for one that it knows
// under the same UID (RFC 9051 §2.3.1.1) and none asks for changes since a ModSeq
// that never was (RFC 7162 §3.2.5). ModSeqs, email and mailbox ids go on far
// above all that can have been given, and the log of changes begins anew.
//
// It must be run once on a restored store, before anybody is served.
func (s *Store) Renew(ctx context.Context) (accounts int, err error) {
	var ids []mail.AccountID
	if err := s.Accounts(ctx, func(id mail.AccountID) bool {
		ids = append(ids, id)
		return true
	}); err != nil {
		return 0, err
	}
	for rest := ids; len(rest) > 0; {
		n := min(len(rest), renewAccounts)
		err := s.Update(ctx, rest[:n], nil, func(txs []*Tx) error {
			for _, tx := range txs {
				if tx.st.exists {
					tx.renew()
				}
			}
			return nil
		})
		if err != nil {
			return accounts, err
		}
		accounts += n
		rest = rest[n:]
	}
	return accounts, nextSecond(ctx)
}

// nextSecond waits for the clock's next second: another restore, which would begin
// with what this one began with, then gives higher numbers.
func nextSecond(ctx context.Context) error {
	t := time.NewTimer(time.Second - time.Duration(time.Now().Nanosecond()))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (tx *Tx) renew() {
	st := tx.st
	first := uint64(tx.now) * renewRate
	next := max(uint64(tx.modseq)+renewRate, first)
	tx.skip = next - uint64(tx.modseq)
	tx.modseq = ModSeq(next)
	st.hdr.nextEmail = max(st.hdr.nextEmail+renewRate, EmailID(first))
	st.hdr.nextMailbox = max(st.hdr.nextMailbox+renewRate, MailboxID(first))
	// The old log goes: nobody can be told what changed since then.
	if ops, err := st.checkpoint(); err == nil {
		tx.ops = append(tx.ops, ops...)
		tx.ops = append(tx.ops, engine.Op{Kind: engine.DeleteRange, Key: journalKey(0), End: journalKey(st.hdr.modseq + 1)})
		tx.ops = append(tx.ops, engine.Op{Kind: engine.DeleteRange, Key: markKey(0), End: markKey(tx.modseq)})
		st.hdr.floor, st.hdr.marked = tx.modseq-1, 0
		tx.boxed = true // checkpoint has made boxes our own
	} else { // a damaged mailbox keeps its log, and the account works all the same
		tx.acct.warnCheckpoint(tx.group.ctx, err)
	}
	// Each mailbox gets a number that grows with the time and else depends on its id
	// alone: so it is above what any restore before gave it, whatever others were there.
	base := tx.validity()
	given := map[uint32]bool{}
	for i := range st.boxes {
		id := st.boxes[i].mb.ID
		v := base + uint32(id%renewRate)
		for given[v] {
			v++
		}
		given[v] = true
		st.hdr.lastValidity = max(st.hdr.lastValidity, v)
		b := tx.edit(id)
		b.mb.UIDValidity, b.mb.HighestModSeq = v, tx.modseq
		tx.logBox(actChange, id)
	}
	tx.changed = true
}
