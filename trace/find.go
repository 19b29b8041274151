package trace

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/store/engine"
)

// A Query says which messages are looked for. All that is given must hold.
type Query struct {
	// Any is a trace id, a queue id, a Message-ID or an address, of sender or
	// recipient: whatever it turns out to be.
	Any       string
	From, To  string // addresses; From "<>" is the null reverse-path
	MessageID string
	Since     time.Time // zero: as long as there are records
	Until     time.Time // zero: now
	Limit     int       // most messages; the newest are found. 0: 20
}

// A Story is all that is known of one message, in the order in which it happened.
type Story struct {
	ID     string
	Events []Event
}

const (
	defaultLimit  = 20
	maxCandidates = 10_000 // messages that one search looks at
)

// Find returns the newest messages for which q holds, oldest first, and reports that
// there are more.
func (l *Log) Find(ctx context.Context, q Query) (found []Story, more bool, err error) {
	const op = "trace.Find"
	l.write(ctx)
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	now := l.opts.Now()
	if q.Until.IsZero() {
		q.Until = now
	}
	oldest := now.Add(-max(0, l.opts.Keep))
	if q.Since.Before(oldest) {
		q.Since = oldest
	}
	s := search{Query: q, r: l.opts.Engine.Snapshot(0), ctx: ctx, last: max(dayOf(now), dayOf(q.Until))}
	defer s.r.Close()
	ids, err := s.candidates()
	if err != nil {
		return nil, false, &mail.Error{Kind: mail.Unavailable, Op: op, Err: err}
	}
	for i := len(ids) - 1; i >= 0; i-- { // newest first: trace ids sort by time
		st, err := s.story(ids[i])
		if err != nil {
			return nil, false, &mail.Error{Kind: mail.Unavailable, Op: op, Err: err}
		}
		if !s.holds(st) {
			continue
		}
		if len(found) == q.Limit {
			more = true
			break
		}
		found = append(found, st)
	}
	slices.Reverse(found)
	return found, more || s.cut, nil
}

type search struct {
	Query
	ctx  context.Context
	r    engine.Reader
	last uint32 // the newest day that may have records
	cut  bool   // not all was looked at
}

// candidates are the ids of the messages that the most exact key names, in order.
func (s *search) candidates() ([]string, error) {
	ids := map[string]bool{}
	var err error
	switch {
	case s.MessageID != "":
		err = s.index(ids, byMessageID, strings.Trim(s.MessageID, "<> "))
	case s.Any != "":
		any := strings.Trim(s.Any, "<> ")
		for _, kind := range []byte{byMessageID, byQueue, byFrom, byRecipient} {
			if err == nil {
				err = s.index(ids, kind, any)
			}
		}
		ids[s.Any] = true
	case s.To != "":
		err = s.index(ids, byRecipient, strings.Trim(s.To, "<> "))
	case s.From != "":
		err = s.index(ids, byFrom, strings.Trim(s.From, "<> "))
	default:
		err = s.all(ids)
	}
	list := make([]string, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	slices.Sort(list)
	return list, err
}

// days calls f with each day that is looked at, the newest first, until it returns
// false.
func (s *search) days(f func(day uint32) (bool, error)) error {
	for day, first := int64(s.last), int64(dayOf(s.Since)); day >= first; day-- {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if more, err := f(uint32(day)); err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *search) index(ids map[string]bool, kind byte, value string) error {
	return s.days(func(day uint32) (bool, error) {
		return s.collect(ids, indexKeys(nil, day, kind, clip(value)), func(rest []byte) string { return string(rest) })
	})
}

// all takes the messages of the time that is looked at.
func (s *search) all(ids map[string]bool) error {
	return s.days(func(day uint32) (bool, error) {
		return s.collect(ids, appendDay(nil, day, keyEvent), func(rest []byte) string {
			id, _, _ := bytes.Cut(rest, []byte{0})
			return string(id)
		})
	})
}

// collect adds what name makes of the keys under prefix, until there are enough.
func (s *search) collect(ids map[string]bool, prefix []byte, name func(rest []byte) string) (bool, error) {
	err := s.r.Scan(prefix, after(prefix), func(key, _ []byte) bool {
		ids[name(key[len(prefix):])] = true
		s.cut = len(ids) >= maxCandidates
		return !s.cut
	})
	return !s.cut, err
}

// story reads the records of one message.
func (s *search) story(id string) (Story, error) {
	st := Story{ID: id}
	if id == "" || strings.IndexByte(id, 0) >= 0 {
		return st, nil
	}
	wide := *s
	wide.Since = wide.Since.Add(-24 * time.Hour) // it may have begun before
	err := wide.days(func(day uint32) (bool, error) {
		prefix := eventKeys(nil, day, id)
		var some []Event
		err := s.r.Scan(prefix, after(prefix), func(_, val []byte) bool {
			e, err := decodeEvent(val)
			if err == nil {
				e.ID = id
				some = append(some, e)
			}
			return true
		})
		st.Events = append(some, st.Events...)
		return true, err
	})
	return st, err
}

// holds reports whether the message is what is looked for.
func (s *search) holds(st Story) bool {
	if len(st.Events) == 0 {
		return false
	}
	inTime := slices.ContainsFunc(st.Events, func(e Event) bool { return !e.At.Before(s.Since) && !e.At.After(s.Until) })
	has := func(want string, of func(e *Event, is func(string) bool) bool) bool {
		want = strings.Trim(want, "<> ")
		return slices.ContainsFunc(st.Events, func(e Event) bool {
			return of(&e, func(v string) bool { return strings.EqualFold(v, want) })
		})
	}
	from := func(e *Event, is func(string) bool) bool { return e.begins() && is(e.From) }
	to := func(e *Event, is func(string) bool) bool {
		return slices.ContainsFunc(e.To, func(f Fate) bool { return is(f.Address) })
	}
	return inTime && (s.From == "" || has(s.From, from)) && (s.To == "" || has(s.To, to)) &&
		(s.MessageID == "" || has(s.MessageID, func(e *Event, is func(string) bool) bool { return is(e.MessageID) }))
}

// begins reports a record that says whose message it is.
func (e *Event) begins() bool {
	return e.Kind == Received || e.Kind == Refused || e.Kind == Abandoned || e.Kind == Sent
}

// after returns the end of the range of keys that start with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
