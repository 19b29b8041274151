package store

// ClaimRecent returns the first UID of mailbox m that no session was told of as
// \Recent (RFC 3501 §2.3.2) and marks all up to the present as told. It is kept
// in memory and saved with the mailbox's next change: after a crash a message
// may be recent once more.
//
// On the account of somebody else nothing is recent: that is for the owner to be told.
func (a *Account) ClaimRecent(m MailboxID) UID { return a.recentUID(m, a.who, true) }

// Recent is ClaimRecent without the claim, for EXAMINE and STATUS.
func (a *Account) Recent(m MailboxID) UID { return a.recentUID(m, a.who, false) }

func (a *account) recentUID(m MailboxID, who *Principal, claim bool) UID {
	a.use()
	defer a.release()
	st, err := a.current()
	if err != nil {
		return 0
	}
	b := st.box(m)
	if b == nil {
		return 0
	}
	if who != nil {
		return b.mb.UIDNext
	}
	a.recentMu.Lock()
	defer a.recentMu.Unlock()
	first := max(b.recent, a.recent[b.mb.UIDValidity], 1)
	if claim && b.mb.UIDNext > first {
		if a.recent == nil {
			a.recent = map[uint32]UID{}
		}
		a.recent[b.mb.UIDValidity] = b.mb.UIDNext
	}
	return first
}

// claimed returns how far \Recent was claimed, for the mailbox's record.
func (a *account) claimed(b *box) UID {
	a.recentMu.Lock()
	defer a.recentMu.Unlock()
	n := a.recent[b.mb.UIDValidity]
	if n <= b.recent {
		delete(a.recent, b.mb.UIDValidity)
	}
	return max(b.recent, n)
}
