package delivery

import (
	"context"
	"maps"
	"slices"
	"strings"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/store"
	"posthouse/trace"
)

// Accept ends the message and delivers it to all recipients or to none, as SMTP
// needs it: one reply for the lot (RFC 5321 §4.1.1.4).
func (t *Transaction) Accept(ctx context.Context) mail.Reply {
	r := t.accept(ctx)
	t.outcome.reply = r
	return r
}

func (t *Transaction) accept(ctx context.Context) mail.Reply {
	verdicts, reply := t.finish(ctx)
	if reply.Code != 0 {
		return reply
	}
	all := make([]int, 0, len(verdicts))
	for i, v := range verdicts {
		switch v.Action {
		case Reject, Defer:
			return v.Reply
		case Discard:
			t.outcome.put(i, trace.Dropped, "a rule of this server")
		default:
			all = append(all, i)
		}
	}
	err := t.charge(ctx)
	if err == nil {
		err = t.commit(ctx, verdicts, all, newServed())
	}
	if err != nil {
		t.fault("accept", err)
		if k := mail.KindOf(err); len(all) > 1 && (k == mail.NotFound || k == mail.Denied) {
			return replyNotNow // about one of several: RCPT will refuse that one next time
		}
		return t.s.reply(err)
	}
	t.report(ctx, all)
	t.tellHeld(ctx)
	return t.stored()
}

// AcceptEach ends the message and delivers it to each recipient for which that is
// possible, as LMTP needs it: one reply for each, in their order (RFC 2033 §4.2).
func (t *Transaction) AcceptEach(ctx context.Context) []mail.Reply {
	replies := make([]mail.Reply, len(t.Env.Recipients))
	verdicts, reply := t.finish(ctx)
	var wanted []int
	for i := range replies {
		switch {
		case reply.Code != 0:
			replies[i] = reply
		case verdicts[i].Action == Reject || verdicts[i].Action == Defer:
			replies[i] = verdicts[i].Reply
		case verdicts[i].Action == Discard:
			replies[i] = t.stored()
			t.outcome.put(i, trace.Dropped, "a rule of this server")
		default:
			wanted = append(wanted, i)
		}
	}
	t.commitEach(ctx, verdicts, wanted, replies)
	t.outcome.each(replies)
	return replies
}

// commitEach tries all at once, and if one of them is to blame, one by one.
func (t *Transaction) commitEach(ctx context.Context, verdicts []Verdict, wanted []int, replies []mail.Reply) {
	done := newServed()
	err := t.commit(ctx, verdicts, wanted, done)
	if err != nil {
		t.fault("accept", err)
	}
	for _, i := range wanted {
		one := err
		if err != nil && len(wanted) > 1 && blamesOne(err) {
			one = t.commit(ctx, verdicts, []int{i}, done)
		}
		if one != nil {
			replies[i] = t.s.reply(one)
		} else {
			replies[i] = t.stored()
		}
	}
}

// blamesOne reports whether err may be about one account and not about all.
func blamesOne(err error) bool {
	switch mail.KindOf(err) {
	case mail.NotFound, mail.OverQuota, mail.TooLarge, mail.Denied, mail.Invalid, mail.Corrupt:
		return true
	}
	return false
}

// finish ends the bytes and runs the stages. A reply with a code refuses the
// message whole.
func (t *Transaction) finish(ctx context.Context) ([]Verdict, mail.Reply) {
	if t.err == nil && t.filter != nil {
		if err := t.filter.Flush(); err != nil {
			t.fault("finish", err)
		}
	}
	if t.err == nil {
		if err := t.staged.Finish(); err != nil {
			t.fault("finish", err)
		}
	}
	if t.err != nil {
		return nil, t.s.reply(t.err)
	}
	t.came = t.s.opts.Now()
	return t.judge(ctx), mail.Reply{}
}

// A drop is one copy of the message for one account.
type drop struct {
	account mail.AccountID
	to      int    // index of the recipient
	mailbox string // path; "" is the mailbox with role
	role    mail.Role
	prefix  []byte
}

// served are those who have the message: nobody gets it twice, and no envelope
// makes more copies than there are people, however its aliases overlap.
type served struct {
	accounts map[mail.AccountID]bool
	remote   map[mail.Address]bool
}

func newServed() *served {
	return &served{map[mail.AccountID]bool{}, map[mail.Address]bool{}}
}

// add notes account drops and remote recipients that were committed.
func (s *served) add(more *served) {
	maps.Copy(s.accounts, more.accounts)
	maps.Copy(s.remote, more.remote)
}

// commit stores the message for some recipients: all in one durable unit, or, with
// an error, nothing. It leaves out those in done and adds those it served.
func (t *Transaction) commit(ctx context.Context, verdicts []Verdict, recipients []int, done *served) error {
	trace := t.appendTrace(append(make([]byte, 0, 512+len(t.hookLines)), t.hookLines...))
	now := newServed()
	drops := t.drops(verdicts, recipients, trace, done, now)
	batches, err := t.batches(ctx, recipients, trace, done, now)
	if err != nil {
		return err
	}
	if len(drops) > 0 {
		t.readReport()
	}
	queued := batches
	if batches = slices.Concat(batches, t.also); len(drops) == 0 && len(batches) == 0 && t.Beside.Do == nil {
		t.noteBounces(ctx, recipients)
		return nil
	}
	ids := make([]mail.AccountID, len(drops))
	for i, d := range drops {
		ids[i] = d.account
	}
	beside := slices.Index(ids, t.Beside.Account)
	if t.Beside.Do != nil && beside < 0 {
		beside, ids = len(ids), append(ids, t.Beside.Account)
	}
	err = t.s.opts.Store.Update(ctx, ids, batches, func(txs []*store.Tx) error {
		for i := range drops {
			if err := t.drop(txs[i], drops[i]); err != nil {
				return err
			}
		}
		if t.Beside.Do == nil {
			return nil
		}
		return t.Beside.Do(txs[beside])
	})
	if err != nil {
		return err
	}
	done.add(now)
	t.committed(recipients, drops)
	t.complain(ctx)
	t.noteBounces(ctx, recipients)
	if len(queued) > 0 {
		t.s.opts.Queue.Wake(queued...)
	}
	return nil
}

// drops are the copies for local accounts, by ascending account, each once.
func (t *Transaction) drops(verdicts []Verdict, recipients []int, trace []byte, done, now *served) []drop {
	var drops []drop
	for _, i := range recipients {
		var prefix []byte
		for _, id := range t.ways[i].accounts {
			if done.accounts[id] || now.accounts[id] {
				continue
			}
			now.accounts[id] = true
			if prefix == nil {
				prefix = make([]byte, 0, len(trace)+256)
				prefix = append(t.appendFinal(prefix, t.Env.Recipients[i], t.ways[i].list), trace...)
			}
			d := drop{account: id, to: i, mailbox: inbox, prefix: prefix}
			if verdicts[i].Action == FileInto {
				d.mailbox, d.role = verdicts[i].Mailbox, verdicts[i].Role
			}
			drops = append(drops, d)
		}
	}
	slices.SortFunc(drops, func(a, b drop) int {
		if a.account < b.account {
			return -1
		}
		return 1
	})
	return drops
}

const inbox = "INBOX"

// drop puts one copy into its mailbox, or into the inbox if that is gone.
func (t *Transaction) drop(tx *store.Tx, d drop) error {
	var box *store.Mailbox
	var err error
	if d.mailbox == "" {
		box, err = tx.MailboxByRole(d.role)
	} else {
		box, err = tx.Mailbox(d.mailbox)
	}
	if d.mailbox != inbox && (mail.KindOf(err) == mail.NotFound || err == nil && box.NoSelect) {
		box, err = tx.Mailbox(inbox)
	}
	if err != nil {
		return err
	}
	o := store.AppendOptions{InternalDate: t.came, Prefix: d.prefix, Findings: t.checked}
	if box.Path == inbox {
		o.File = func(id store.ThreadID) (store.MailboxID, []mail.Flag, error) { return muted(tx, id) }
	}
	at, err := tx.Append(box.ID, t.staged, o)
	if err != nil || t.reported == nil {
		return err
	}
	return t.s.opts.Reported(tx, at, t.reported)
}

// readReport looks whether the message tells of one that was sent. One that cannot be
// read is mail as any other.
func (t *Transaction) readReport() {
	if t.s.opts.Reported == nil || t.reported != nil {
		return
	}
	r, err := message.ReadReport(t.staged.Message(), t.staged)
	if err != nil {
		t.s.opts.Logger.Warn("a report was not read", "tid", t.Env.TraceID, "err", err)
	}
	t.reported = r
}

// muted sends what answers in a thread that the account has muted to its archive, read;
// without an archive it stays.
func muted(tx *store.Tx, id store.ThreadID) (store.MailboxID, []mail.Flag, error) {
	_, err := tx.Object(store.ObjectMute, store.MuteID(id))
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			err = nil
		}
		return 0, nil, err
	}
	box, err := tx.MailboxByRole(mail.RoleArchive)
	if mail.KindOf(err) == mail.NotFound && err != nil || err == nil && box.NoSelect {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	return box.ID, []mail.Flag{mail.FlagSeen}, nil
}

// batches are what the queue must store: one entry for the recipients elsewhere,
// and one for each address of ours that points elsewhere, whose Delivered-To ends a
// loop at once.
func (t *Transaction) batches(ctx context.Context, recipients []int, trace []byte, done, now *served) ([]*store.Batch, error) {
	var batches []*store.Batch
	var direct *mail.Envelope
	for _, i := range recipients {
		w, r := &t.ways[i], t.Env.Recipients[i]
		to := now.fresh(w.remote, done)
		if len(to) == 0 {
			continue
		}
		if !w.alias {
			if direct == nil {
				direct = t.forward()
			}
			addRemote(direct, r, to)
			continue
		}
		if w.list != nil {
			bs, err := t.listBatches(ctx, w, r, to, trace)
			if err != nil {
				return nil, err
			}
			batches = append(batches, bs...)
			continue
		}
		if w.expands() && r.Notify&mail.NotifySuccess != 0 { // we report, RFC 3461 §5.2.7.3
			if r.Notify &^= mail.NotifySuccess; r.Notify == 0 {
				r.Notify = mail.NotifyNever
			}
		}
		env := t.forward()
		env.ReversePath = t.rewritten(ctx, w.home)
		addRemote(env, r, to)
		b, err := t.s.opts.Queue.AddBatch(ctx, env, t.withSeal(ctx, w.home, append(t.appendDeliveredTo(nil, r), t.withSignatures(ctx, trace)...)), t.staged)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	if direct == nil {
		return batches, nil
	}
	b, err := t.s.opts.Queue.AddBatch(ctx, direct, t.withSignatures(ctx, trace), t.staged)
	return append(batches, b), err
}

// forward is the envelope without its recipients.
func (t *Transaction) forward() *mail.Envelope {
	env := t.Env
	env.Recipients = nil
	// RFC 8689 §3: the sender's wish, which REQUIRETLS overrules.
	env.TLSOptional = !env.RequireTLS && t.staged != nil && strings.EqualFold(strings.TrimSpace(t.staged.Message().Header.Value("TLS-Required")), "no")
	return &env
}

// fresh returns those of list that have the message neither by done nor by s, and
// adds them to s.
func (s *served) fresh(list []mail.Address, done *served) []mail.Address {
	var out []mail.Address
	for _, a := range list {
		if !done.remote[a] && !s.remote[a] {
			s.remote[a] = true
			out = append(out, a)
		}
	}
	return out
}

// addRemote adds the addresses to which r leads. They keep its DSN parameters and
// the address that the sender knows (RFC 3461 §4.2).
func addRemote(env *mail.Envelope, r mail.Recipient, to []mail.Address) {
	for _, a := range to {
		original := r.Original
		if original == "" && a != r.Address {
			original = originalOf(r.Address)
		}
		env.Recipients = append(env.Recipients, mail.Recipient{Address: a, Notify: r.Notify, Original: original})
	}
}

func originalOf(a mail.Address) string {
	if a.IsASCII() {
		return "rfc822;" + a.String()
	}
	return "utf-8;" + a.String()
}

func (t *Transaction) stored() mail.Reply {
	text := "Ok: stored as " + t.Env.TraceID
	if t.held {
		text += "; held, for this account has sent more today than it may: see your mailbox"
	} else if t.quarantined {
		text += "; what goes elsewhere is held: a filter wants somebody to look at it"
	}
	return mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: text}
}
