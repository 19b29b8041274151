package store

import (
	"posthouse/mail"
	"posthouse/store/engine"
)

// A Mailbox is the record of one mailbox at one moment; immutable.
type Mailbox struct {
	ID            MailboxID
	Parent        MailboxID // 0: top level
	Path          string    // all levels, separated by "/", UTF-8 NFC; the inbox is "INBOX"
	Role          mail.Role
	NoSelect      bool // only a name above others: deleted while it had children
	Subscribed    bool
	HasChildren   bool
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	Messages      uint32
	Unseen        uint32
	Deleted       uint32 // with \Deleted
	Bytes         int64  // sum of the messages' sizes
	DeletedBytes  int64  // of those with \Deleted
}

// A View is one consistent, durable state of an account. Inside a Tx it is the
// state with the transaction's own changes.
type View struct {
	acct *account
	st   *state
	r    engine.Reader // opened when first needed: of the same moment; of a Tx at least as new as what is durable
	tx   *Tx           // the transaction that this is part of, or nil

	settled bool       // of a Tx: a reader opened from here on sees all earlier updates
	who     *Principal // nil: the owner

	pinned engine.Reader // opened for it by a commit, guarded by acct.pub
}

// close releases the engine's reader.
func (v *View) close() {
	if v.r == nil {
		v.r = v.acct.withdraw(v)
	}
	if v.r != nil {
		v.r.Close()
		v.r = nil
	}
}

// reader returns the engine's view.
func (v *View) reader() engine.Reader {
	if v.r == nil {
		v.r = v.acct.readerOf(v)
	}
	return v.r
}

// settle makes the reader of a Tx see what earlier updates wrote, which may still
// be on its way to the disk. No other update begins meanwhile: once is enough.
func (v *View) settle() {
	if v.tx == nil || v.settled {
		return
	}
	if p := v.acct.pendingCommit(); p != nil {
		p.Wait()
	}
	v.close() // opened before, it may lack what has settled since
	v.settled = true
}

// record returns a mailbox in a form that stays as it is.
func (v *View) record(b *box) *Mailbox {
	if v.tx == nil {
		return &b.mb
	}
	m := b.mb
	return &m
}

// shown is record for a mailbox that the reader may know of: who may do nothing with
// it is told that it is not there.
func (v *View) shown(op string, b *box) (*Mailbox, error) {
	if b == nil || v.rights(b) == NoRights {
		return nil, noMailbox(op)
	}
	if v.who == nil {
		return v.record(b), nil
	}
	m := b.mb
	m.Subscribed, m.HasChildren = false, false
	lo, hi := v.st.below(m.Path)
	for _, n := range v.st.order[lo:hi] {
		m.HasChildren = m.HasChildren || v.rights(v.st.boxes[n]).Has(RightLookup)
	}
	var err error
	_, m.Unseen, m.HighestModSeq, err = v.lay(b)
	return &m, wrap(op, err)
}

func noMailbox(op string) error { return fail(mail.NotFound, op, "no such mailbox") }

// Account is the id of the account.
func (v *View) Account() mail.AccountID { return v.acct.id }

// Mailbox finds a mailbox by path; the first level "inbox" in any case is the
// inbox. NotFound if there is none.
func (v *View) Mailbox(path string) (*Mailbox, error) {
	return v.shown("Mailbox", v.st.boxByPath(cleanPath(path)))
}

// MailboxByID finds a mailbox by id; NotFound once it is deleted.
func (v *View) MailboxByID(id MailboxID) (*Mailbox, error) {
	return v.shown("MailboxByID", v.st.box(id))
}

// MailboxByRole finds the mailbox with a role; NotFound if there is none.
func (v *View) MailboxByRole(r mail.Role) (*Mailbox, error) {
	for _, b := range v.st.boxes {
		if b.mb.Role == r && r != mail.RoleNone {
			return v.shown("MailboxByRole", b)
		}
	}
	return nil, noMailbox("MailboxByRole")
}

// Mailboxes returns all mailboxes in path order, INBOX first, children after
// their parent; of somebody else's, those that the reader may look up. The slice is
// shared: do not change it; it may be kept.
func (v *View) Mailboxes() []*Mailbox {
	if v.who != nil {
		return v.lookup()
	}
	if v.tx == nil {
		return v.st.mailboxes()
	}
	all := make([]*Mailbox, len(v.st.order))
	for i, n := range v.st.order {
		all[i] = v.record(v.st.boxes[n])
	}
	return all
}

// lookup is Mailboxes of somebody else.
func (v *View) lookup() []*Mailbox {
	var all []*Mailbox
	for _, n := range v.st.order {
		b := v.st.boxes[n]
		if !v.rights(b).Has(RightLookup) {
			continue
		}
		m, err := v.shown("Mailboxes", b)
		if err != nil { // damaged: it is there all the same
			c := b.mb
			m = &c
		}
		all = append(all, m)
	}
	return all
}

// Subscriptions returns the subscribed paths in order, also those whose mailbox
// no longer exists (RFC 3501 §6.3.6). They are the owner's: on the account of somebody
// else one has none. The slice may be kept, but not changed.
func (v *View) Subscriptions() []string {
	if v.who != nil {
		return nil
	}
	return v.st.subs
}

// Snapshot returns the messages of a mailbox. It may be kept for any time: a
// session's sequence numbers are the snapshot that it last announced.
func (v *View) Snapshot(id MailboxID) (*Snapshot, error) {
	b, err := v.allowed("Snapshot", id, RightRead)
	if err != nil {
		return nil, err
	}
	c, err := v.content(b)
	if err != nil {
		return nil, wrap("Snapshot", err)
	}
	m, err := v.shown("Snapshot", b)
	return &Snapshot{mb: m, content: c, flags: v.st.flags}, err
}

// Keywords returns every keyword of the account. The slice may be kept.
func (v *View) Keywords() []mail.Flag { return v.st.flags.words() }

// ModSeq is the highest ModSeq of the account.
func (v *View) ModSeq() ModSeq { return v.st.hdr.modseq }

// LogEnd is the position after the last transaction of this View.
func (v *View) LogEnd() LogPos { return LogPos(v.st.hdr.modseq) }
