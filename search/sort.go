package search

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"posthouse/store"
)

// A SortKey is one criterion of an order, RFC 5256 §3 and RFC 5957 §4.
type SortKey struct {
	By      SortBy
	Reverse bool
	Scores  []uint8 // of each row, for ByScore
	// Texts gives the string of each row, for ByText.
	Texts func(rows []store.Row) ([]string, error)
	Value func(r store.Row) int64 // of ByValue
}

// SortBy says by what to sort.
type SortBy uint8

// The criteria. Strings compare as RFC 5051; an address is its local part but for
// the display ones.
const (
	ByArrival SortBy = iota // internal date
	BySize
	ByDate // Date header, or the internal date without one (RFC 5256 §2.2)
	BySubject
	ByFrom
	ByTo
	ByCc
	ByDisplayFrom
	ByDisplayTo
	ByScore // the best first, RFC 6203 §6
	ByText  // strings that the caller knows
	ByValue // what SortKey.Value says of a row
)

// A column is the values of one criterion for all messages.
type column struct {
	numbers []int64
	strings []string
	reverse bool
}

func (c *column) compare(a, b int32) int {
	n := 0
	if c.numbers != nil {
		n = cmp.Compare(c.numbers[a], c.numbers[b])
	} else {
		n = strings.Compare(c.strings[a], c.strings[b])
	}
	if c.reverse {
		return -n
	}
	return n
}

// Sort returns the places in rows in order. What is equal keeps the order of rows.
// tick is called now and then with the number of rows that were looked at.
func Sort(ctx context.Context, acct *store.Account, rows []store.Row, keys []SortKey, tick func(done int) error) ([]int32, error) {
	s := sorter{cols: make([]column, len(keys)), keys: keys}
	known, records := false, false
	for i, k := range keys {
		s.cols[i].reverse = k.Reverse
		if k.By <= BySubject || k.By == ByScore || k.By == ByValue {
			s.cols[i].numbers = make([]int64, len(rows))
		} else {
			s.cols[i].strings = make([]string, len(rows))
		}
		known = known || k.By == ByDate || k.By == BySubject
		records = records || k.By > BySubject && k.By < ByScore
	}
	if err := s.texts(rows); err != nil {
		return nil, err
	}
	for i := range rows {
		s.row(i, &rows[i])
	}
	if known {
		if err := s.facts(ctx, acct, rows, tick); err != nil {
			return nil, err
		}
	}
	if records {
		err := eachRecord(ctx, acct, rows, tick, func(i int, e *store.Email) error {
			s.record(i, e)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		for i := range s.cols {
			if n := s.cols[i].compare(a, b); n != 0 {
				return n
			}
		}
		return cmp.Compare(a, b)
	})
	return order, nil
}

// eachRecord calls f with the record of each row. Those of messages that are gone
// are passed over.
func eachRecord(ctx context.Context, acct *store.Account, rows []store.Row, tick func(done int) error, f func(i int, e *store.Email) error) error {
	for lo := 0; lo < len(rows); lo += page {
		hi := min(lo+page, len(rows))
		err := acct.View(ctx, func(v *store.View) error {
			var failed error
			err := v.Emails(rows[lo:hi], func(i int, e *store.Email) bool {
				failed = f(lo+i, e)
				return failed == nil
			})
			if failed != nil {
				return failed
			}
			return err
		})
		if err == nil {
			err = tick(hi)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A sorter fills the columns.
type sorter struct {
	cols []column
	keys []SortKey
	fold []byte
}

// texts fills in what the caller knows.
func (s *sorter) texts(rows []store.Row) error {
	for k := range s.keys {
		if s.keys[k].By != ByText {
			continue
		}
		texts, err := s.keys[k].Texts(rows)
		if err != nil {
			return err
		}
		for i, text := range texts {
			s.fold = fold(s.fold[:0], []byte(text))
			s.cols[k].strings[i] = string(s.fold)
		}
	}
	return nil
}

// row fills in what the mailbox row knows, and what holds for a message without a
// record.
func (s *sorter) row(i int, r *store.Row) {
	for k := range s.keys {
		switch s.keys[k].By {
		case ByArrival, ByDate:
			s.cols[k].numbers[i] = r.InternalDate
		case BySize:
			s.cols[k].numbers[i] = int64(r.Size)
		case ByScore:
			s.cols[k].numbers[i] = -int64(s.keys[k].Scores[i])
		case ByValue:
			s.cols[k].numbers[i] = s.keys[k].Value(*r)
		}
	}
}

// facts fills in what the account remembers of messages.
func (s *sorter) facts(ctx context.Context, acct *store.Account, rows []store.Row, tick func(done int) error) error {
	facts, means, err := facts(ctx, acct, rows, false, tick)
	if err != nil {
		return err
	}
	for k := range s.keys {
		for i := range facts {
			f := &facts[i]
			switch {
			case s.keys[k].By == BySubject:
				s.cols[k].numbers[i] = int64(means.ranks[f.subject])
			case s.keys[k].By == ByDate && f.known && f.sent != unsent:
				s.cols[k].numbers[i] = f.sent
			}
		}
	}
	return nil
}

func (s *sorter) record(i int, e *store.Email) {
	env := parseEnvelope(e.Envelope)
	for k := range s.keys {
		if by := s.keys[k].By; by > BySubject && by < ByScore {
			s.fold = fold(s.fold[:0], env.value(by))
			s.cols[k].strings[i] = string(s.fold)
		}
	}
}

// value is the string of a criterion.
func (e *envelope) value(by SortBy) []byte {
	switch by {
	case ByFrom:
		return e.from.mailbox
	case ByTo:
		return e.to.mailbox
	case ByCc:
		return e.cc.mailbox
	case ByDisplayFrom:
		return e.from.display()
	case ByDisplayTo:
		return e.to.display()
	}
	return nil
}
