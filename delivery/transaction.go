package delivery

import (
	"context"
	"time"

	"posthouse/directory"
	"posthouse/hook"
	"posthouse/mail"
	"posthouse/mailauth/authres"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/srs"
	"posthouse/message"
	"posthouse/store"
)

// A Transaction is one message on its way in: first its envelope (Sender,
// Recipient), then its bytes (Open, Write), then Accept. One goroutine drives it.
type Transaction struct {
	// Env is the envelope; Recipient adds to its Recipients. The front end sets the
	// rest of it before it calls Sender.
	Env mail.Envelope
	// Beside, if it has a function, runs in the commit that Accept makes, on its
	// account: what must be so exactly when the message has gone.
	Beside Beside

	s           *Service
	sess        *Session
	ways        []way // of Env.Recipients
	staged      *store.Staged
	reported    *message.Report // nil: it is none
	filter      *fieldFilter
	came        time.Time // when Accept was called
	authResults []authres.Clause
	checked     []mail.Finding // what all checks said
	entry       Verdict        // of the envelope's checks
	found       *findings      // who sent it; nil if that is not asked
	toSign      *dkim.Message  // what is stored, once it is read to be signed
	also        []*store.Batch // what must take effect with it
	err         error
	outcome     outcome
	hookLines   []byte                // header lines that hooks put in front
	talks       []talk                // with hooks that answer to the envelope; nil: none was begun
	refused     []hook.Refusal        // recipients that hooks may want to hear of
	withdrawn   map[mail.Address]bool // recipients that hooks took away
	quarantined bool                  // a hook holds what goes to other servers
	complaint   complaint
	most        Caps // that the account may send
	held, tell  bool // it is over the account's caps; and somebody must be told
}

// A Beside is a change of an account that goes with a delivery. Its function may run
// again after a conflict; an error of it ends the commit.
type Beside struct {
	Account mail.AccountID
	Do      func(tx *store.Tx) error
}

// A way is where mail for one recipient goes.
type way struct {
	accounts []mail.AccountID
	remote   []mail.Address
	alias    bool            // remote is where an address of ours points to
	home     mail.Domain     // of that address
	list     *directory.List // it is a mailing list
	bounce   *bounce         // it is the reverse-path of one, and leads nowhere
}

// Begin starts a transaction. End it with Close in every case.
func (s *Service) Begin(sess *Session, env mail.Envelope) *Transaction {
	return &Transaction{Env: env, s: s.now(), sess: sess}
}

// Sender judges the reverse-path: an account must own the address that it sends
// from. The null reverse-path is for everyone.
func (t *Transaction) Sender(ctx context.Context) mail.Reply {
	r := t.sender(ctx)
	if !r.Positive() {
		t.outcome.reply = r
	}
	return r
}

func (t *Transaction) sender(ctx context.Context) mail.Reply {
	if t.sess.Origin != FromSubmission {
		return replySenderOK
	}
	if t.sess.Account == nil {
		return replyNoAccount
	}
	if t.Env.ReversePath.IsNull() {
		return replySenderOK
	}
	ok, err := t.s.opts.Directory.MaySend(ctx, t.sess.Account.ID, t.Env.ReversePath)
	switch {
	case err != nil:
		return t.deferFor("sender", err).Reply
	case !ok:
		return replyNotOwner
	}
	return replySenderOK
}

// Recipient judges one recipient and adds it to the envelope if the reply is
// positive.
func (t *Transaction) Recipient(ctx context.Context, r mail.Recipient) mail.Reply {
	w, reply := t.route(ctx, r.Address)
	if reply.Positive() {
		reply = t.roomFor(ctx, &w, reply)
	}
	if reply.Positive() {
		reply = t.hear(ctx, r, reply)
	} else {
		t.hearRefused(ctx, hook.Refusal{To: r, Reply: reply})
	}
	if !reply.Positive() {
		t.outcome.refuse(r.Address, reply)
		return reply
	}
	w.home = r.Address.Domain
	t.Env.Recipients = append(t.Env.Recipients, r)
	t.ways = append(t.ways, w)
	return reply
}

// route finds where mail for a goes.
func (t *Transaction) route(ctx context.Context, a mail.Address) (way, mail.Reply) {
	res, err := t.s.opts.Directory.Resolve(ctx, a)
	switch {
	case err != nil:
		return way{}, t.deferFor("recipient", err).Reply
	case res.Local && t.s.opts.SRS != nil && srs.Is(a):
		return t.returned(ctx, a)
	case res.Local && t.s.opts.SRS != nil && srs.IsBounce(a):
		return t.bounced(a)
	case res.Local && res.Found && res.List != nil && t.Env.ReversePath.IsNull():
		return way{}, replyNoBounces
	case res.Local && res.Found && t.sess.Origin == FromSubmission && t.Env.HoldUntil.After(t.s.opts.Now()) && t.s.opts.Queue != nil:
		return way{remote: []mail.Address{a}}, replyOK // the queue brings it when its time comes
	case res.Local && res.Found:
		return t.localWay(res)
	case res.Local:
		return way{}, replyNoUser
	case !t.mayRelay():
		return way{}, replyNoRelay
	}
	if s := t.s.opts.Suppression; s != nil && t.sess.Origin == FromSubmission {
		if r, yes := s.Suppressed(t.Env.ReversePath.Domain, a); yes {
			return way{}, r
		}
	}
	return way{remote: []mail.Address{a}}, replyOK
}

// roomFor refuses a recipient whose mailbox is full, by the size that the sender
// declared: told now, the message goes to the others, and its bytes are not sent
// for nothing. Accept checks again, with what has come.
func (t *Transaction) roomFor(ctx context.Context, w *way, ok mail.Reply) mail.Reply {
	for _, id := range w.accounts {
		a, err := t.s.opts.Store.Account(ctx, id)
		if err != nil {
			continue // Accept says what is wrong
		}
		full := false
		if err := a.View(ctx, func(v *store.View) error {
			u := v.Usage()
			full = u.Full(max(t.Env.Size, 1))
			return nil
		}); err == nil && full {
			return t.s.kinds[mail.OverQuota]
		}
	}
	return ok
}

func (t *Transaction) localWay(res directory.Resolution) (way, mail.Reply) {
	if len(res.Remote) > 0 && t.s.opts.Queue == nil {
		return way{}, replyNotNow
	}
	return way{accounts: res.Accounts, remote: res.Remote, alias: true, list: res.List}, replyOK
}

// mayRelay: RFC 5321 §7.9 leaves it to us; only those who belong here may.
func (t *Transaction) mayRelay() bool {
	return t.s.opts.Queue != nil && (t.sess.Origin == FromServer || t.sess.Origin == FromSubmission && t.sess.Account != nil)
}

// Open prepares for the bytes of the message.
func (t *Transaction) Open(ctx context.Context) mail.Reply {
	var err error
	if t.staged, err = t.s.opts.Store.Stage(ctx); err != nil {
		t.fault("stage", err)
		return t.s.reply(err)
	}
	switch t.sess.Origin {
	case FromServer:
		t.filter = &fieldFilter{w: t.signed(ctx)}
	case FromSubmission:
		t.filter = &fieldFilter{w: t.signed(ctx), drop: blindFields, server: t.s.server}
	case FromMX:
		t.filter = &fieldFilter{w: t.staged, server: t.s.server}
	}
	if !t.beginFindings(ctx) {
		return mail.Reply{}
	}
	r := t.admit(ctx)
	if r.Code != 0 {
		t.outcome.reply = r
	}
	return r
}

// Write takes the next bytes of the message. After an error, which Accept turns
// into its reply, further bytes are ignored.
func (t *Transaction) Write(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.found != nil { // as it came: a signature may cover what the filter drops
		_, _ = t.found.body.Write(p) // never fails
	}
	var n int
	var err error
	if t.filter != nil {
		n, err = t.filter.Write(p)
	} else {
		n, err = t.staged.Write(p)
	}
	if err != nil {
		t.fault("write", err)
	}
	return n, err
}

// Size is the number of bytes taken so far.
func (t *Transaction) Size() int64 {
	if t.staged == nil {
		return 0
	}
	n := t.staged.Size()
	if t.filter != nil {
		n += int64(len(t.filter.hold))
	}
	return n
}

// Err is the first error from below, for the log: replies do not show it.
func (t *Transaction) Err() error { return t.err }

// Close ends the transaction. What Accept has not taken is dropped.
func (t *Transaction) Close() {
	t.found.end()
	t.hangUp()
	t.remember()
	if t.staged != nil {
		if err := t.staged.Close(); err != nil {
			t.fault("close", err)
		}
	}
}

// deferFor is the verdict when something could not be checked.
func (t *Transaction) deferFor(op string, err error) Verdict {
	t.fault(op, err)
	r := t.s.reply(err)
	if !r.Transient() {
		r = replyNotNow
	}
	return Verdict{Action: Defer, Reply: r}
}

func (t *Transaction) fault(op string, err error) {
	if t.err == nil {
		t.err = &mail.Error{Kind: mail.KindOf(err), Op: "delivery." + op, Err: err}
	}
}
