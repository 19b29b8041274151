package smtp

import (
	"context"
	"log/slog"
	"time"

	"posthouse/mail"
)

// A record is what the log line of a transaction says beside its envelope.
type record struct {
	started time.Time
	refused int        // recipients
	reply   mail.Reply // the last that refused, or the one that accepted
	ok, bad int        // replies at the end of the data
}

// note keeps a reply to MAIL or RCPT that refused something.
func (r *record) note(reply mail.Reply) {
	if !reply.Positive() && reply.Code != 0 {
		r.refused++
		r.reply = reply
	}
}

// result keeps n equal replies to the end of the data.
func (r *record) result(reply mail.Reply, n int) {
	if reply.Positive() {
		r.ok += n
		if r.bad > 0 {
			return // the failure says more
		}
	} else {
		r.bad += n
	}
	r.reply = reply
}

// count adds an outcome to the server's and the connection's counters.
func (c *conn) count(r mail.Reply) {
	if !r.Positive() {
		c.srv.stats.refused.Add(1)
		return
	}
	c.messages++
	c.srv.admission.trust(c.session.Remote, time.Now())
	c.srv.stats.accepted.Add(1)
	c.srv.stats.bytes.Add(uint64(c.tx.Size()))
}

// logTransaction writes the one line about a transaction that came to something.
func (c *conn) logTransaction() {
	rec, env := &c.record, &c.tx.Env
	if rec.reply.Code == 0 { // given up by the peer, with nothing refused
		return
	}
	level, msg := slog.LevelInfo, "message accepted"
	if rec.ok == 0 {
		msg = "message refused"
	}
	err := c.tx.Err()
	if err != nil {
		level = slog.LevelWarn
	}
	log := c.opts.Logger
	if !log.Enabled(c.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("tid", env.TraceID), slog.String("face", c.face.name),
		slog.String("from", env.ReversePath.String()), slog.Int("rcpts", len(env.Recipients)))
	if len(env.Recipients) > 0 {
		attrs = append(attrs, slog.String("to", env.Recipients[0].Address.String()))
	}
	if rec.refused > 0 || rec.bad > 0 {
		attrs = append(attrs, slog.Int("refused", rec.refused+rec.bad))
	}
	attrs = append(attrs, slog.Int64("size", c.tx.Size()), slog.Duration("took", c.opts.Now().Sub(rec.started)),
		slog.Int("code", rec.reply.Code), slog.String("reply", rec.reply.Text))
	attrs = c.appendPeer(attrs)
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	log.LogAttrs(context.WithoutCancel(c.ctx), level, msg, attrs...)
}

func (c *conn) appendPeer(attrs []slog.Attr) []slog.Attr {
	if c.session.Remote.IsValid() {
		attrs = append(attrs, slog.String("remote", c.session.Remote.String()))
	}
	attrs = append(attrs, slog.String("hello", c.session.Hello), slog.Bool("tls", c.session.TLS != nil))
	if a := c.session.Account; a != nil {
		attrs = append(attrs, slog.String("account", a.Address.String()))
	}
	return attrs
}
