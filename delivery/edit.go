package delivery

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"posthouse/hook"
	"posthouse/mail"
	"posthouse/smtp/wire"
	"posthouse/store"
)

// An edit makes what a hook wants changed. What it does to bytes makes another staged
// message, which takes the place of the one that came: nobody sees a message half changed,
// and what came is dropped only when the new one is whole.
type edit struct {
	t      *Transaction
	prefix []byte        // what the hook saw in front of the message
	body   *store.Staged // the new one; nil: it stays
}

// replace begins another body.
func (e *edit) replace(ctx context.Context) (io.Writer, error) {
	var err error
	if e.body == nil {
		e.body, err = e.t.s.opts.Store.Stage(ctx)
	}
	return e.body, err
}

func (e *edit) close() {
	if e.body != nil {
		if err := e.body.Close(); err != nil {
			e.t.fault("close", err)
		}
	}
}

// apply makes the changes in their order.
func (e *edit) apply(ctx context.Context, v *hook.Verdict) error {
	t := e.t
	was := t.forwards()
	var fields *fieldList
	for i := range v.Changes {
		ch := &v.Changes[i]
		switch ch.Kind {
		case hook.ChangeSender:
			t.Env.ReversePath = ch.Address
			v.Findings = t.takeParams(v.Findings, ch, &mail.Recipient{})
		case hook.RemoveRecipient:
			t.withdraw(ch.Address)
		case hook.AddRecipient:
			r := mail.Recipient{Address: ch.Address, Notify: mail.NotifyNever}
			v.Findings = t.takeParams(v.Findings, ch, &r)
			if err := t.addRecipient(ctx, r); err != nil {
				return err
			}
		case hook.ChangeField, hook.InsertField:
			if fields == nil {
				var err error
				if fields, err = e.fields(); err != nil {
					return err
				}
			}
			if ch.Kind == hook.InsertField {
				fields.insert(ch)
			} else if !fields.change(ch) {
				v.Findings = append(v.Findings, mail.Finding{Check: "hook", Result: "neutral", Text: "it wanted our own " + ch.Name + " changed"})
			}
		}
	}
	if v.Replaced || fields != nil && fields.changed {
		return e.restage(ctx, fields, v.Replaced)
	}
	if t.found != nil && t.found.gathered && t.forwards() && !was {
		return t.readAgain()
	}
	return nil
}

// withdraw takes a recipient away: all that are spelt so.
func (t *Transaction) withdraw(a mail.Address) {
	for _, r := range t.Env.Recipients {
		if r.Address == a || strings.EqualFold(r.Address.String(), a.String()) {
			if t.withdrawn == nil {
				t.withdrawn = map[mail.Address]bool{}
			}
			t.withdrawn[r.Address] = true
		}
	}
}

// takeParams takes what a hook says with an address (RFC 3461 §4): RET and ENVID with a
// sender, NOTIFY and ORCPT with a recipient. What the message itself says (SIZE, BODY,
// SMTPUTF8, AUTH) is known better here; all else is refused, and that is a finding.
func (t *Transaction) takeParams(findings []mail.Finding, ch *hook.Change, r *mail.Recipient) []mail.Finding {
	for _, p := range ch.Params {
		taken := false
		switch key := p.Keyword; {
		case ch.Kind == hook.ChangeSender && key == "RET":
			full, err := wire.ParseRet(p.Value)
			if taken = err == nil; taken {
				t.Env.ReturnFull = full
			}
		case ch.Kind == hook.ChangeSender && key == "ENVID":
			id, err := wire.DecodeXtext(p.Value)
			if taken = err == nil && id != "" && len(p.Value) <= 100 && !strings.ContainsFunc(id, func(c rune) bool { return c < ' ' || c > '~' }); taken {
				t.Env.EnvID = id
			}
		case ch.Kind == hook.ChangeSender && (key == "SIZE" || key == "BODY" || key == "SMTPUTF8" || key == "AUTH"):
			taken = true
		case ch.Kind == hook.AddRecipient && key == "NOTIFY":
			mask, err := wire.ParseNotify(p.Value)
			if taken = err == nil; taken {
				r.Notify = mask
			}
		case ch.Kind == hook.AddRecipient && key == "ORCPT":
			original, err := wire.ParseORCPT(p.Value)
			if taken = err == nil && len(p.Value) <= 500; taken {
				r.Original = original
			}
		}
		if !taken {
			findings = append(findings, mail.Finding{Check: "hook", Result: "neutral", Text: "it wanted " + ch.Address.String() + " with " + p.Keyword + ", which is not taken"})
		}
	}
	return findings
}

// addRecipient adds one that the sender does not know of, and is not told about but by
// the hook's wish. Mail of strangers goes on under our name (SRS), as an address of ours would lead it.
func (t *Transaction) addRecipient(ctx context.Context, to mail.Recipient) error {
	a := to.Address
	if t.withdrawn[a] {
		delete(t.withdrawn, a)
		return nil
	}
	for _, r := range t.Env.Recipients {
		if r.Address == a {
			return nil
		}
	}
	res, err := t.s.opts.Directory.Resolve(ctx, a)
	if err != nil {
		return err
	}
	w := way{accounts: res.Accounts, remote: res.Remote, alias: true}
	switch {
	case res.Local && !res.Found:
		t.s.opts.Logger.Warn("a filter adds a recipient who is not here", "tid", t.Env.TraceID, "rcpt", a.String())
		return nil
	case !res.Local:
		w = way{remote: []mail.Address{a}, alias: t.sess.Origin == FromMX}
	}
	if len(w.remote) > 0 && t.s.opts.Queue == nil {
		return &mail.Error{Kind: mail.Unavailable, Op: "delivery.edit", Text: "no queue"}
	}
	if w.home = a.Domain; !res.Local && len(t.Env.Recipients) > 0 {
		w.home = t.Env.Recipients[0].Address.Domain
	}
	t.Env.Recipients = append(t.Env.Recipients, to)
	t.ways = append(t.ways, w)
	return nil
}

// A fieldList is the header as a hook saw it.
type fieldList struct {
	ours    int      // of fields: those in front that are not the message's
	fields  [][]byte // each with its lines; the last may be the line between header and body
	changed bool
}

// fields reads them.
func (e *edit) fields() (*fieldList, error) {
	s := e.t.staged
	raw := make([]byte, s.Message().Parts[0].BodyStart)
	if n, err := s.ReadAt(raw, 0); n < len(raw) && err != nil {
		return nil, err
	}
	l := &fieldList{}
	l.split(e.prefix)
	l.ours = len(l.fields)
	l.split(raw)
	return l, nil
}

func (l *fieldList) split(raw []byte) {
	first := len(l.fields)
	for line := range bytes.Lines(raw) {
		if last := len(l.fields) - 1; last >= first && (line[0] == ' ' || line[0] == '\t') {
			l.fields[last] = append(l.fields[last][:len(l.fields[last]):len(l.fields[last])], line...)
		} else {
			l.fields = append(l.fields, line)
		}
	}
}

// change makes one change; it is false if that would change a field of ours.
func (l *fieldList) change(ch *hook.Change) bool {
	if ch.Index == 0 {
		l.drop(ch.Name)
		return true
	}
	n := 0
	for i, f := range l.fields {
		name, _, ok := bytes.Cut(f, []byte{':'})
		if !ok || !strings.EqualFold(string(bytes.TrimRight(name, " \t")), ch.Name) {
			continue
		}
		if n++; n < ch.Index {
			continue
		}
		if i < l.ours {
			return false
		}
		l.fields[i], l.changed = ch.Line, true
		if len(ch.Line) == 0 {
			l.fields = append(l.fields[:i], l.fields[i+1:]...)
		}
		return true
	}
	if len(ch.Line) > 0 { // one that is not there is added
		l.insert(&hook.Change{Index: len(l.fields), Line: ch.Line})
	}
	return true
}

// insert puts a field behind so many others, or at the end of the header.
func (l *fieldList) insert(ch *hook.Change) {
	end := len(l.fields)
	if end > l.ours && len(bytes.TrimRight(l.fields[end-1], "\r\n")) == 0 {
		end--
	}
	l.fields = slices.Insert(l.fields, max(l.ours, min(ch.Index, end)), ch.Line)
	l.changed = true
}

// drop takes all fields with a name away but ours.
func (l *fieldList) drop(name string) {
	kept := l.fields[:0]
	for i, f := range l.fields {
		n, _, ok := bytes.Cut(f, []byte{':'})
		if i < l.ours || !ok || !strings.EqualFold(string(bytes.TrimRight(n, " \t")), name) {
			kept = append(kept, f)
		} else {
			l.changed = true
		}
	}
	l.fields = kept
}

// restage makes the message of the fields and the body, and reads it again for the
// signatures.
func (e *edit) restage(ctx context.Context, l *fieldList, newBody bool) error {
	t := e.t
	if l == nil {
		var err error
		if l, err = e.fields(); err != nil {
			return err
		}
	}
	next, err := t.s.opts.Store.Stage(ctx)
	if err != nil {
		return err
	}
	if err = e.write(next, l, newBody); err == nil {
		err = next.Finish()
	}
	if err != nil {
		_ = next.Close() // the first error counts
		return err
	}
	old := t.staged
	if t.staged = next; old.Close() != nil {
		t.s.opts.Logger.Warn("what a filter changed is not dropped yet", "tid", t.Env.TraceID)
	}
	return t.readAgain()
}

func (e *edit) write(w io.Writer, l *fieldList, newBody bool) error {
	t := e.t
	fields := l.fields[l.ours:]
	ended := len(fields) > 0 && len(bytes.TrimRight(fields[len(fields)-1], "\r\n")) == 0
	if !ended {
		fields = append(fields[:len(fields):len(fields)], []byte("\r\n"))
	}
	for _, f := range fields {
		if _, err := w.Write(f); err != nil {
			return err
		}
	}
	start := t.staged.Message().Parts[0].BodyStart
	from, size := io.ReaderAt(t.staged), t.staged.Size()
	if newBody {
		if err := e.body.Finish(); err != nil {
			return err
		}
		from, start, size = e.body, 0, e.body.Size()
	}
	_, err := io.Copy(w, io.NewSectionReader(from, start, size-start))
	return err
}

// readAgain reads the message as it is now, for the signature or the seal of what goes on.
func (t *Transaction) readAgain() (err error) {
	switch {
	case t.toSign != nil:
		t.toSign, err = t.digested()
	case t.found != nil && t.forwards():
		t.found.body, err = t.digested()
	}
	return err
}
