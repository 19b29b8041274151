package queue

import (
	"context"
	"io"

	"posthouse/mail"
)

// atHome hands recipients of our own domains to the Injector, one by one, each in one
// commit with the result: nobody gets the message twice. It reports whether the domain
// is ours.
func (q *Queue) atHome(e *entry, idx []int, domain mail.Domain) bool {
	ctx := context.WithoutCancel(q.ctx)
	if e.st.route != "" || q.opts.Local == nil || !q.opts.Local(ctx, domain) {
		return false
	}
	q.mu.Lock()
	inj := q.inject
	q.mu.Unlock()
	content, err := e.whole(ctx)
	if inj == nil || err != nil {
		e.mark(idx, mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 0}, Text: "the message cannot be read here"}, false, "")
		return true
	}
	for _, i := range idx {
		env := e.rec.env
		env.Recipients = env.Recipients[i : i+1]
		rs := &e.st.rcpts[i]
		before := *rs
		rs.status, rs.reported, rs.at = stDelivered, true, e.at
		rs.reply = mail.Reply{Code: 250, Enhanced: [3]uint8{2, 0, 0}, Text: "delivered here"}
		if err := inj.Inject(ctx, env, content, e.batch()); err != nil {
			*rs = before
			e.mark([]int{i}, homeReply(err), false, q.opts.Hostname)
		} else {
			q.count.delivered.Add(1)
		}
		q.logAttempt(e, attemptLine{reply: rs.reply, remote: q.opts.Hostname, to: e.address(i), idx: []int{i}, asked: true, recipients: 1})
	}
	return true
}

// homeReply is the verdict of a delivery at home that failed.
func homeReply(err error) mail.Reply {
	switch mail.KindOf(err) {
	case mail.NotFound:
		return mail.Reply{Code: 550, Enhanced: [3]uint8{5, 1, 1}, Text: "no such address here"}
	case mail.OverQuota:
		return mail.Reply{Code: 452, Enhanced: [3]uint8{4, 2, 2}, Text: "the mailbox is full"}
	case mail.Denied, mail.Invalid, mail.TooLarge:
		return mail.Reply{Code: 554, Enhanced: [3]uint8{5, 7, 0}, Text: "the message is not taken"}
	}
	return mail.Reply{Code: 451, Enhanced: [3]uint8{4, 3, 0}, Text: "it cannot be delivered just now"}
}

// whole reads the message.
func (e *entry) whole(ctx context.Context) ([]byte, error) {
	c, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(c.reader())
}
