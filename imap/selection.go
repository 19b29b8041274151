package imap

import (
	"slices"

	"posthouse/imap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A selection is what the client believes the selected mailbox holds. The store
// knows UIDs alone: a message's sequence number is its place in snap, the state
// that was last announced as a whole.
type selection struct {
	acct     *store.Account // whose it is, as this user may use it
	mailbox  store.MailboxID
	name     string // as the client names it
	rights   store.Rights
	readOnly bool
	snap     *store.Snapshot // numbers
	// told is the state whose flags the client knows. It runs ahead of snap while
	// expunges wait to be told: then new messages wait behind them, flags need not.
	told     *store.Snapshot
	recent   store.UIDSet // messages that are \Recent in this session
	keywords []mail.Flag  // that the client was told of
	saved    store.UIDSet // "$", RFC 5182 §2.1
	contexts []*searchContext
}

// A timing says what may be told at the end of a command.
type timing uint8

const (
	tellAll       timing = iota
	tellNoExpunge        // the client may hold sequence numbers, RFC 9051 §7.5.1
	tellNothing
)

// A span is the messages with the places lo <= i < hi in the selection.
type span struct{ lo, hi int }

// numbers resolves a sequence-set (RFC 9051 §9) to the messages that the client
// knows, in ascending order, each once.
func (c *conn) numbers(s wire.NumSet, byUID bool) ([]span, error) {
	snap, n := c.sel.snap, c.sel.snap.Len()
	var out []span
	if s.Saved {
		for _, r := range c.sel.saved {
			lo, hi := bounds(snap, r)
			out = append(out, span{lo, hi})
		}
		return joinSpans(out), nil
	}
	for _, r := range s.Ranges {
		a, b := r.First, r.Last
		star := a == wire.Star || b == wire.Star
		if byUID {
			out = append(out, c.uidSpan(a, b))
			continue
		}
		if a == wire.Star {
			a = uint32(n)
		}
		if b == wire.Star {
			b = uint32(n)
		}
		if a > b {
			a, b = b, a
		}
		if int64(b) > int64(n) {
			if !star {
				return nil, bad("no message has this number")
			}
			b = uint32(n)
		}
		if n > 0 {
			out = append(out, span{max(int(a), 1) - 1, int(b)})
		}
	}
	return joinSpans(out), nil
}

// uidSpan resolves a range of UIDs. A range with "*" holds the last message even
// if its other end lies beyond (RFC 9051 §6.4.9).
func (c *conn) uidSpan(a, b uint32) span {
	snap := c.sel.snap
	if snap.Len() == 0 {
		return span{}
	}
	last := uint32(snap.UID(snap.Len() - 1))
	if a == wire.Star {
		a = last
	}
	if b == wire.Star {
		b = last
	}
	lo, hi := bounds(snap, store.UIDRange{First: store.UID(min(a, b)), Last: store.UID(max(a, b))})
	return span{lo, hi}
}

func joinSpans(in []span) []span {
	in = slices.DeleteFunc(in, func(s span) bool { return s.hi <= s.lo })
	if len(in) < 2 {
		return in
	}
	slices.SortFunc(in, func(a, b span) int { return a.lo - b.lo })
	out := in[:1]
	for _, s := range in[1:] {
		if last := &out[len(out)-1]; s.lo <= last.hi {
			last.hi = max(last.hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// uids names the messages of spans by UID. No UID between two neighbours of the
// selection can come to life, so a span is a range.
func (c *conn) uids(spans []span) store.UIDSet { return uidsIn(c.sel.snap, spans) }

func uidsIn(snap *store.Snapshot, spans []span) store.UIDSet {
	set := make(store.UIDSet, 0, len(spans))
	for _, s := range spans {
		set = append(set, store.UIDRange{First: snap.UID(s.lo), Last: snap.UID(s.hi - 1)})
	}
	return normal(set)
}

// current returns the present state of the selected mailbox.
func (c *conn) current() (cur *store.Snapshot, err error) {
	err = c.sel.acct.View(c.ctx, func(v *store.View) (err error) {
		cur, err = v.Snapshot(c.sel.mailbox)
		return err
	})
	return cur, c.gone(err)
}

// gone makes of a selected mailbox that is not there any more the end of the
// connection: the client's numbers mean nothing now.
func (c *conn) gone(err error) error {
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return errMailboxGone
	}
	return err
}

// sync tells the client what changed since it was last told.
func (c *conn) sync(t timing) error {
	if c.state != stateSelected || t == tellNothing {
		return nil
	}
	cur, err := c.current()
	if err != nil || cur == c.sel.told && cur == c.sel.snap {
		return err
	}
	if t = c.notify.timing(c, max(t, c.hold)); t == tellNothing {
		return nil
	}
	c.ready()
	c.sayKeywords(cur)
	sel := &c.sel
	whole := store.Diff(sel.snap, cur)
	flags := whole.Changed
	if sel.told != sel.snap {
		flags = store.Diff(sel.told, cur).Changed
	}
	held := len(whole.Expunged) > 0 && t != tellAll
	if !held {
		if len(whole.Expunged) > 0 {
			c.loseResults(whole.Expunged)
			c.out = c.dia.vanished(c.out, sel.snap, whole.Expunged)
			sel.saved = sel.saved.Subtract(whole.Expunged)
		}
		sel.snap = cur
		c.grown(whole)
	}
	sel.told = cur
	if c.notify.tellsFlags() {
		if err := c.changed(cur, flags.Subtract(c.echo)); err != nil {
			return err
		}
	}
	if c.dia.condstore && len(whole.Expunged) > 0 {
		c.sayKnownModSeq()
	}
	if held {
		return c.updateResults(cur, flags)
	}
	if err := c.notify.fetchNew(c, whole.Added); err != nil {
		return err
	}
	if len(sel.contexts) == 0 {
		return nil
	}
	return c.updateResults(cur, flags.Union(whole.Added))
}

// grown announces the new size of the mailbox.
func (c *conn) grown(d store.Difference) {
	if len(d.Added) == 0 {
		return
	}
	fresh := c.claimRecent()
	c.sayCount(c.sel.snap.Len(), "EXISTS")
	if !c.dia.rev2 && fresh {
		c.sayCount(c.recentCount(), "RECENT")
	}
}

func (c *conn) sayCount(n int, what string) {
	c.say("* ")
	c.out = appendUint(c.out, uint64(n))
	c.say(" ", what, "\r\n")
}

// changed sends the flags of messages that others changed.
func (c *conn) changed(cur *store.Snapshot, uids store.UIDSet) error {
	for i, row := range rowsOf(cur, uids) {
		seq, known := c.seqOf(row.UID, i)
		if !known {
			continue
		}
		c.sayFlags(seq, cur, row)
		if err := c.drain(); err != nil {
			return err
		}
	}
	return nil
}

// seqOf is the sequence number of a message; hint is its place in a newer state.
func (c *conn) seqOf(uid store.UID, hint int) (uint32, bool) {
	snap := c.sel.snap
	if hint < snap.Len() && snap.UID(hint) == uid {
		return uint32(hint + 1), true
	}
	i, ok := snap.Search(uid)
	return uint32(i + 1), ok
}

// sayFlags sends the flags of a message without being asked.
func (c *conn) sayFlags(seq uint32, snap *store.Snapshot, row store.Row) {
	dst := c.dia.beginFetch(c.out, seq, row.UID)
	if c.uidInChanges() {
		dst = appendUint(append(dst, "UID "...), uint64(row.UID))
		dst = append(dst, ' ')
	}
	dst = c.appendFlags(dst, snap, row)
	if c.dia.condstore {
		dst = appendModSeq(append(dst, ' '), row.ModSeq)
	}
	c.out = append(dst, ")\r\n"...)
}

// uidInChanges: RFC 9051 §6.4.9 for UID commands, RFC 7162 §3.2.4 for QRESYNC,
// and RFC 9051 §7.5.2 asks for it in general. With UIDONLY it stands before.
func (c *conn) uidInChanges() bool {
	return !c.dia.uidonly && (c.dia.qresync || c.dia.rev2 || c.cmd != nil && c.cmd.byUID)
}

// appendFlags appends FLAGS, with what is \Recent in this session.
func (c *conn) appendFlags(dst []byte, snap *store.Snapshot, row store.Row) []byte {
	dst = append(dst, "FLAGS ("...)
	text := snap.FlagText(row.Flags)
	dst = append(dst, text...)
	if len(c.sel.recent) > 0 && !c.dia.rev2 && c.sel.recent.Contains(row.UID) {
		if text != "" {
			dst = append(dst, ' ')
		}
		dst = append(dst, `\Recent`...)
	}
	return append(dst, ')')
}

// claimRecent makes the messages that no session was told of \Recent in this
// one, RFC 3501 §2.3.2, and reports whether there were any.
func (c *conn) claimRecent() (fresh bool) {
	var first store.UID
	if c.sel.readOnly {
		first = c.sel.acct.Recent(c.sel.mailbox)
	} else {
		first = c.sel.acct.ClaimRecent(c.sel.mailbox)
	}
	if n := len(c.sel.recent); n > 0 { // EXAMINE claims nothing and gets the same again
		first = max(first, c.sel.recent[n-1].Last+1)
	}
	last := c.sel.snap.Mailbox().UIDNext - 1
	if first == 0 || first > last {
		return false
	}
	c.sel.recent.AddRange(first, last)
	return true
}

// recentCount is the number of messages that are \Recent in this session.
func (c *conn) recentCount() (n int) {
	for _, r := range c.sel.recent {
		lo, hi := bounds(c.sel.snap, r)
		n += hi - lo
	}
	return n
}

// unselect forgets the selection.
func (c *conn) unselect() {
	c.sel = selection{}
	if c.state == stateSelected {
		c.state = stateAuthenticated
	}
}
