package hook

import (
	"bufio"
	"context"
	"errors"
	"net"
	"time"

	"posthouse/mail"
)

// A milterTalk is one message on a connection of its own.
type milterTalk struct {
	nc  net.Conn
	c   *milterConn
	all Verdict // what it said of the sender, if that ended it
}

// begin connects, negotiates and tells who sends.
func (m *Milter) begin(ctx context.Context, msg *Message) (*milterTalk, error) {
	nc, err := connect(ctx, m.Address)
	if err != nil {
		return nil, err
	}
	t := &milterTalk{nc: nc, c: &milterConn{r: bufio.NewReader(nc), w: bufio.NewWriter(nc), name: "milter"}}
	err = t.bound(ctx, func() error {
		if err := t.c.negotiate(); err != nil {
			return err
		}
		m.silent.Store(t.c.silent())
		return t.c.sender(msg)
	})
	if err != nil {
		t.Close()
		return nil, err
	}
	t.all = t.c.verdict
	return t, nil
}

// silent reports that it answers to nothing before the message.
func (c *milterConn) silent() bool {
	for _, s := range []milterStep{stepConnect, stepHello, stepMail, stepRcpt} {
		if c.skip&s.skip == 0 && c.quiet&s.quiet == 0 {
			return false
		}
	}
	return !c.refused // else it hears of those whose message never comes
}

// bound does what takes no longer than ctx.
func (t *milterTalk) bound(ctx context.Context, do func() error) error {
	stop := bind(ctx, t.nc)
	err := do()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// Begin implements Talker.
func (m *Milter) Begin(ctx context.Context, msg *Message) (Talk, error) {
	if m.silent.Load() {
		return nil, nil
	}
	t, err := m.begin(ctx, msg)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Ask implements Hook: it tells the envelope too.
func (m *Milter) Ask(ctx context.Context, msg *Message) (Verdict, error) {
	t, err := m.begin(ctx, msg)
	if err != nil {
		return Verdict{}, err
	}
	defer t.Close()
	for _, r := range msg.Refused {
		if err := t.bound(ctx, func() error { return t.c.notRecipient(r) }); err != nil {
			return Verdict{}, err
		}
	}
	for _, to := range msg.To {
		if t.c.done {
			break
		}
		if len(msg.To) > 1 {
			t.c.to = to.Address.String()
		}
		if err := t.bound(ctx, func() error { return t.c.recipient(to) }); err != nil {
			return Verdict{}, err
		}
	}
	t.c.to = "" // and so, from here on, about all
	return t.Message(ctx, msg)
}

// Recipient implements Talk.
func (t *milterTalk) Recipient(ctx context.Context, to mail.Recipient) (mail.Reply, error) {
	if t.c.done { // it has said what holds for all
		return t.all.Reply, nil
	}
	before := t.c.verdict
	if err := t.bound(ctx, func() error { return t.c.recipient(to) }); err != nil {
		return mail.Reply{}, err
	}
	v := t.c.verdict
	if v.Action == Reject || v.Action == Defer { // this one only
		t.c.verdict, t.c.done = before, false
		return v.Reply, nil
	}
	return mail.Reply{}, nil
}

// Refused implements Talk.
func (t *milterTalk) Refused(ctx context.Context, r Refusal) error {
	return t.bound(ctx, func() error { return t.c.notRecipient(r) })
}

// Message implements Talk.
func (t *milterTalk) Message(ctx context.Context, m *Message) (Verdict, error) {
	if !t.c.done {
		if err := t.bound(ctx, func() error { return t.c.content(m) }); err != nil {
			if t.c.verdict.Replaced {
				err = errors.Join(errReplaced, err)
			}
			return Verdict{}, err
		}
	}
	return t.c.verdict, nil
}

// Close implements Talk.
func (t *milterTalk) Close() {
	if t.c.send('Q') == nil && t.nc.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_ = t.c.w.Flush() // it has said what it had to say
	}
	_ = t.nc.Close() // everything was read
}
