package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/store"
	"posthouse/store/engine"
)

// Caps bound what one account sends elsewhere in a day (UTC), so that a stolen password
// does not cost the server its good name. What goes over them is accepted and held in
// the queue until an operator looks at it; the owner and the administrator are told.
// Zero takes the default, a negative number means no bound.
type Caps struct {
	Messages      int // 1,000
	NewRecipients int // to whom the account never wrote before; 200
}

// caps count. The counts of a day and the addresses an account has written to are kept
// in the engine, account 0, and committed with the message:
//
//	od ACCOUNT        day u32 · messages u32 · new recipients u32 · told u8
//	ok ACCOUNT HASH   day u32 of the first message to the address; HASH as of trace, 8 bytes
//
// mu nests in nothing.
type caps struct {
	Caps
	*tallies
}

type tallies struct {
	eng   engine.Engine
	mu    sync.Mutex
	today map[mail.AccountID]*tally
	known map[string]struct{} // keys "ok" that were seen in the engine
}

// A tally is what an account has sent on one day.
type tally struct {
	day             uint32
	messages, fresh int
	told            bool // the owner was, on that day
}

// maxTallies and maxKnown bound what is kept in memory; others are read again.
const (
	maxTallies = 10_000
	maxKnown   = 50_000
)

func newCaps(c Caps, eng engine.Engine) *caps {
	if eng == nil {
		return nil
	}
	return (&caps{tallies: &tallies{eng: eng, today: map[mail.AccountID]*tally{}, known: map[string]struct{}{}}}).with(c)
}

// with are other bounds on the same counts.
func (c *caps) with(most Caps) *caps {
	if c == nil {
		return nil
	}
	most.Messages, most.NewRecipients = orDefault(most.Messages, 1000), orDefault(most.NewRecipients, 200)
	return &caps{most, c.tallies}
}

func tallyKey(id mail.AccountID) []byte {
	return binary.BigEndian.AppendUint64([]byte("od"), uint64(id))
}

func knownKey(id mail.AccountID, a mail.Address) []byte {
	sum := sha256.Sum256([]byte(strings.ToLower(a.String())))
	return append(binary.BigEndian.AppendUint64([]byte("ok"), uint64(id)), sum[:8]...)
}

// A charge is what one message costs its account.
type charge struct {
	batch *store.Batch // to be committed with the message
	held  bool         // it is over a bound
	tell  bool         // and nobody was told today
}

// of are the bounds for an account: its own before those of the server.
func (c *caps) of(own directory.SendLimit) Caps {
	most := c.Caps
	if own.Messages != 0 {
		most.Messages = orDefault(int(own.Messages), 0)
	}
	if own.NewRecipients != 0 {
		most.NewRecipients = orDefault(int(own.NewRecipients), 0)
	}
	return most
}

// take counts a message of an account to addresses elsewhere.
func (c *caps) take(id mail.AccountID, most Caps, to []mail.Address, now time.Time) (charge, error) {
	day := uint32(now.Unix() / 86400)
	strange, err := c.strange(id, to)
	if err != nil {
		return charge{}, err
	}
	b := &engine.Batch{Expect: engine.AnyVersion}
	for _, key := range strange {
		b.Ops = append(b.Ops, engine.Op{Kind: engine.Set, Key: key, Val: binary.BigEndian.AppendUint32(nil, day)})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tallyLocked(id, day)
	fresh := len(b.Ops)
	out := charge{batch: b, held: t.messages+1 > most.Messages || t.fresh+fresh > most.NewRecipients}
	if out.held {
		// Who is not written to yet stays new: what is held may be spam.
		b.Ops, fresh = nil, 0
		out.tell, t.told = !t.told, true
	}
	t.messages++
	t.fresh += fresh
	b.Ops = append(b.Ops, engine.Op{Kind: engine.Set, Key: tallyKey(id), Val: t.encode()})
	return out, nil
}

// strange are the keys of the addresses to which the account never wrote.
func (c *caps) strange(id mail.AccountID, to []mail.Address) (keys [][]byte, err error) {
	c.mu.Lock()
	for _, a := range to {
		key := knownKey(id, a)
		if _, ok := c.known[string(key)]; !ok {
			keys = append(keys, key)
		}
	}
	c.mu.Unlock()
	if len(keys) == 0 {
		return nil, nil
	}
	r := c.eng.Snapshot(0)
	defer r.Close()
	var seen [][]byte
	keys = slices.DeleteFunc(keys, func(key []byte) bool {
		_, e := r.Get(key)
		if e == nil {
			seen = append(seen, key)
		} else if !errors.Is(e, engine.ErrNotFound) {
			err = &mail.Error{Kind: mail.Unavailable, Op: "delivery.caps", Err: e}
		}
		return e == nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known)+len(seen) > maxKnown {
		clear(c.known) // the engine has them
	}
	for _, key := range seen {
		c.known[string(key)] = struct{}{}
	}
	return keys, err
}

// tallyLocked is the account's tally of a day.
func (c *caps) tallyLocked(id mail.AccountID, day uint32) *tally {
	t := c.today[id]
	if t == nil {
		if len(c.today) >= maxTallies {
			clear(c.today) // the engine has them
		}
		t = &tally{}
		r := c.eng.Snapshot(0)
		if val, err := r.Get(tallyKey(id)); err == nil {
			t.decode(val)
		}
		_ = r.Close() // it was only read
		c.today[id] = t
	}
	if t.day != day {
		*t = tally{day: day}
	}
	return t
}

func (t *tally) encode() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 13), t.day)
	b = binary.BigEndian.AppendUint32(b, uint32(t.messages))
	b = binary.BigEndian.AppendUint32(b, uint32(t.fresh))
	if t.told {
		return append(b, 1)
	}
	return append(b, 0)
}

func (t *tally) decode(b []byte) {
	if len(b) == 13 {
		*t = tally{day: binary.BigEndian.Uint32(b), messages: int(binary.BigEndian.Uint32(b[4:])), fresh: int(binary.BigEndian.Uint32(b[8:])), told: b[12] != 0}
	}
}

// charge counts the message against its account's caps, and holds it if it is over
// them.
func (t *Transaction) charge(ctx context.Context) error {
	c := t.s.caps
	if c == nil || t.sess.Origin != FromSubmission || t.sess.Account == nil {
		return nil
	}
	var to []mail.Address
	for i := range t.ways {
		to = append(to, t.ways[i].remote...)
	}
	if len(to) == 0 {
		return nil
	}
	who := *t.sess.Account
	if now, err := t.s.opts.Directory.Account(ctx, who.ID); err == nil {
		who = now // what an administrator allows holds at once, for sessions that stand too
	}
	t.most = c.of(who.Send)
	out, err := c.take(who.ID, t.most, to, t.s.opts.Now())
	if err != nil {
		return err
	}
	t.also = append(t.also, out.batch)
	if !out.held {
		return nil
	}
	t.held, t.tell = true, out.tell
	t.Env.HoldUntil = mail.UntilReleased
	t.checked = append(t.checked, mail.Finding{Check: "caps", Result: "held", Text: "the account sends more than it may in a day"})
	return nil
}

// tellHeld tells the owner of the account, and the administrator, that mail is held:
// after the fact, once a day.
func (t *Transaction) tellHeld(ctx context.Context) {
	if !t.tell {
		return
	}
	o := &t.s.opts
	owner := t.sess.Account.Address
	m := textMessage(o.Hostname, owner, "Your mail is held: too much for one day")
	text := heldText(owner.String(), o.Hostname, t.most, t.Env.TraceID)
	content, err := m.build(o.Rand, t.came, text)
	if err == nil {
		env := mail.Envelope{TraceID: t.Env.TraceID + "-held", Recipients: []mail.Recipient{
			{Address: owner, Notify: mail.NotifyNever}, {Address: mail.Address{Local: "postmaster"}, Notify: mail.NotifyNever}}}
		if err = t.s.Inject(ctx, env, content, nil); mail.KindOf(err) == mail.NotFound && err != nil { // there is no administrator
			env.Recipients = env.Recipients[:1]
			err = t.s.Inject(ctx, env, content, nil)
		}
	}
	if err != nil {
		o.Logger.Warn("nobody could be told that mail is held", "tid", t.Env.TraceID, "account", owner.String(), "err", err)
	}
	o.Logger.Warn("an account sends more than it may: its mail is held", "tid", t.Env.TraceID, "account", owner.String())
}
