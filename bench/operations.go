package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// An operation is a row of the part "imap": a command on a large mailbox.
type operation struct {
	name string
	when moment
	tls  bool
	mine bool // only Posthouse: the others take minutes to get there
	// ready prepares a run and is not measured; it may be nil.
	ready func(s *session) error
	// run does it once and returns how many things were done, and how many bytes came.
	run func(s *session) (things, bytes int64, err error)
	// aim is what docs/benchmarks.md calls the aim: things a second, and CPU
	// microseconds for each; 0: none.
	rate, cpu float64
}

// A moment says what caches know when an operation runs.
type moment int

const (
	warm  moment = iota
	first        // for the first time after the mailbox was filled
	cold         // the system's page cache is empty, our server was started again
)

// some is how many messages COPY, MOVE and EXPUNGE take at once.
const some = 10_000

// all is a run of one command that answers for each of n messages.
func all(n int, format string) func(*session) (int64, int64, error) {
	return func(s *session) (int64, int64, error) {
		bytes, err := s.do("%s", format)
		return int64(n), bytes, err
	}
}

func once(format string) func(*session) (int64, int64, error) { return all(1, format) }

const headerFields = "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)])"

// operations is the table, for a mailbox of n messages. Rows of the moment first
// come first.
func operations(n int) []operation {
	fast, envelope, structure, body := "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", "FETCH 1:* (ENVELOPE)", "FETCH 1:* (BODYSTRUCTURE)", "FETCH 1:* (BODY.PEEK[])"
	return []operation{
		{name: "FETCH UID FLAGS INTERNALDATE RFC822.SIZE, first", when: first, run: all(n, fast), rate: 2.5e6, cpu: 0.4},
		{name: "FETCH ENVELOPE, first", when: first, run: all(n, envelope), rate: 1.5e6, cpu: 0.6},
		{name: "FETCH BODYSTRUCTURE, first", when: first, run: all(n, structure), rate: 2e6, cpu: 0.5},
		{name: "SELECT", run: once("SELECT INBOX"), rate: 10_000},
		{name: "SELECT, cold", when: cold, run: once("SELECT INBOX"), rate: 333},
		{name: "SELECT (QRESYNC), nothing changed", ready: changed(0), run: resync, rate: 5000},
		{name: "SELECT (QRESYNC), 1,001 changed", ready: changed(1001), run: resync, rate: 500},
		{name: "FETCH (FLAGS) (CHANGEDSINCE now)", ready: changed(0), run: changedSince},
		{name: "FETCH FLAGS", run: all(n, "FETCH 1:* (FLAGS)"), rate: 5e6, cpu: 0.2},
		{name: "FETCH UID FLAGS INTERNALDATE RFC822.SIZE", run: all(n, fast), rate: 2.5e6, cpu: 0.4},
		{name: "FETCH ENVELOPE", run: all(n, envelope), rate: 1.5e6, cpu: 0.6},
		{name: "FETCH BODYSTRUCTURE", run: all(n, structure), rate: 2e6, cpu: 0.5},
		{name: "FETCH HEADER.FIELDS", run: all(n, headerFields), rate: 7e5, cpu: 1.4},
		{name: "FETCH BODY[]", run: all(n, body), rate: 1.7e5, cpu: 5},
		{name: "FETCH BODY[], one by one", run: fetchOne, rate: 20_000, cpu: 12},
		{name: "FETCH BODY[], TLS", tls: true, run: all(n, body), rate: 97_000, cpu: 9},
		{name: "FETCH FLAGS, cold", when: cold, run: all(n, "FETCH 1:* (FLAGS)"), rate: 2.6e6},
		{name: "FETCH ENVELOPE, cold", when: cold, run: all(n, envelope), rate: 1.65e5},
		{name: "FETCH HEADER.FIELDS, cold", when: cold, run: all(n, headerFields), rate: 2.9e5},
		{name: "FETCH BODY[], cold", when: cold, run: all(n, body), rate: 76_000},
		{name: "STORE 1:* FLAGS", run: toggle(n, "FLAGS"), rate: 2.5e6, cpu: 0.3},
		{name: "STORE 1:* FLAGS.SILENT", run: toggle(n, "FLAGS.SILENT"), rate: 8e6, cpu: 0.1},
		{name: "STORE, one message", run: storeOne, rate: 4000},
		{name: "COPY 10,000", ready: fresh("copies"), run: onSome(n, "COPY 1:%d %scopies"), rate: 5e5},
		{name: "MOVE 10,000", ready: copied(n, ""), run: onSome(n, "MOVE 1:%d %smoved"), rate: 3e5},
		{name: "EXPUNGE 10,000", ready: copied(n, `STORE 1:* +FLAGS.SILENT (\Deleted)`), run: onSome(n, "EXPUNGE"), rate: 1.5e6},
		{name: "SEARCH UNSEEN", run: once("SEARCH UNSEEN")},
		{name: "SEARCH SINCE", run: once("SEARCH SINCE 1-Jan-2022")},
		{name: "SEARCH SUBJECT", run: once("SEARCH SUBJECT meeting"), rate: 50},
		{name: "SEARCH FROM", run: once("SEARCH FROM user012"), rate: 50},
		{name: "SEARCH HEADER", run: once("SEARCH HEADER Message-ID 1234@"), rate: 50},
		{name: "SEARCH BODY, no hit", run: once("SEARCH BODY zzqxyz"), rate: 1.1},
		{name: "SEARCH TEXT, many hits", run: once("SEARCH TEXT quarterly"), rate: 1.1},
		{name: "SORT (DATE)", run: once("SORT (DATE) UTF-8 ALL"), rate: 50},
		{name: "SORT (SUBJECT)", run: once("SORT (SUBJECT) UTF-8 ALL")},
		{name: "THREAD REFERENCES", run: once("THREAD REFERENCES UTF-8 ALL"), rate: 17},
		{name: "LOGIN and LOGOUT, 1 connection", run: logins(1), rate: 12_000, cpu: 80},
		{name: "LOGIN and LOGOUT, 10 connections", run: logins(10), rate: 12_000, cpu: 80},
		{name: "TLS, LOGIN and LOGOUT, 10 connections", tls: true, run: logins(10), rate: 1300, cpu: 600},
	}
}

// operationsOnMany is the table for an account with n mailboxes.
func operationsOnMany(n int) []operation {
	ops := []operation{
		{name: "CREATE and SUBSCRIBE", when: first, run: createMany(n), rate: 3000},
		{name: `LIST "" *`, run: once(`LIST "" *`), rate: 1_667_000 / float64(n)},
		{name: `LIST "" %`, run: once(`LIST "" %`)},
		{name: `LSUB "" *`, run: once(`LSUB "" *`)},
		{name: "LIST RETURN (STATUS)", run: once(`LIST "" * RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))`), rate: 833_000 / float64(n)},
		{name: "STATUS, one by one", run: statusMany(n), rate: 45_000},
	}
	for i := range ops {
		ops[i].name += fmt.Sprintf(", %s mailboxes", thousands(n))
		ops[i].mine = n > 1000
	}
	return ops
}

func createMany(n int) func(*session) (int64, int64, error) {
	return func(s *session) (int64, int64, error) {
		for i := range n {
			name := fmt.Sprintf("%sbox%d", s.p.prefix, i)
			if _, err := s.do("CREATE %s", name); err != nil {
				return 0, 0, err
			}
			if _, err := s.do("SUBSCRIBE %s", name); err != nil {
				return 0, 0, err
			}
		}
		return int64(n), 0, nil
	}
}

func statusMany(mailboxes int) func(*session) (int64, int64, error) {
	return func(s *session) (n, bytes int64, err error) {
		for i := range mailboxes {
			got, err := s.do("STATUS %sbox%d (MESSAGES UIDNEXT UNSEEN)", s.p.prefix, i)
			if err != nil {
				return n, bytes, err
			}
			n, bytes = n+1, bytes+got
		}
		return n, bytes, nil
	}
}

// thousands spells n with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// changed lets a session know where the mailbox was before n messages changed.
func changed(n int) func(*session) error {
	return func(s *session) error {
		if s.modSeq != "" {
			return nil
		}
		if _, err := s.do("ENABLE QRESYNC"); err != nil {
			return err
		}
		text, err := s.ask("SELECT INBOX")
		if err != nil {
			return err
		}
		s.validity, s.modSeq = code(text, "UIDVALIDITY"), code(text, "HIGHESTMODSEQ")
		if n > 0 {
			_, err = s.do(`STORE 1:%d +FLAGS.SILENT (changed%d)`, n, n)
			if err == nil {
				_, err = s.do(`STORE 1:%d -FLAGS.SILENT (changed%d)`, n, n)
			}
		}
		return err
	}
}

func resync(s *session) (int64, int64, error) {
	n, err := s.do("SELECT INBOX (QRESYNC (%s %s))", s.validity, s.modSeq)
	return 1, n, err
}

func changedSince(s *session) (int64, int64, error) {
	n, err := s.do("FETCH 1:* (FLAGS) (CHANGEDSINCE %s)", s.modSeq)
	return 1, n, err
}

func toggle(n int, what string) func(*session) (int64, int64, error) {
	return func(s *session) (int64, int64, error) {
		a, err := s.do(`STORE 1:* +%s (\Flagged)`, what)
		if err != nil {
			return 0, 0, err
		}
		b, err := s.do(`STORE 1:* -%s (\Flagged)`, what)
		return 2 * int64(n), a + b, err
	}
}

func storeOne(s *session) (n, bytes int64, err error) {
	for i := range 50 {
		for _, sign := range "+-" {
			got, err := s.do(`STORE %d %cFLAGS (\Flagged)`, i*7+1, sign)
			if err != nil {
				return n, bytes, err
			}
			n, bytes = n+1, bytes+got
		}
	}
	return n, bytes, nil
}

// fetchOne is what mbsync does: a command for each message.
func fetchOne(s *session) (n, bytes int64, err error) {
	for i := range 500 {
		got, err := s.do("UID FETCH %d (UID FLAGS BODY.PEEK[])", i+1)
		if err != nil {
			return n, bytes, err
		}
		n, bytes = n+1, bytes+got
	}
	return n, bytes, nil
}

// fresh makes empty mailboxes and selects INBOX.
func fresh(names ...string) func(*session) error {
	return func(s *session) error {
		if _, err := s.do("SELECT INBOX"); err != nil {
			return err
		}
		for _, name := range names {
			s.do("DELETE %s%s", s.p.prefix, name) // it may not be there
			if _, err := s.do("CREATE %s%s", s.p.prefix, name); err != nil {
				return err
			}
		}
		return nil
	}
}

// copied selects a mailbox with copies, on which then was done.
func copied(n int, then string) func(*session) error {
	return func(s *session) error {
		if err := fresh("copies", "moved")(s); err != nil {
			return err
		}
		if _, err := s.do("COPY 1:%d %scopies", min(n, some), s.p.prefix); err != nil {
			return err
		}
		_, err := s.do("SELECT %scopies", s.p.prefix)
		if err == nil && then != "" {
			_, err = s.do("%s", then)
		}
		return err
	}
}

// onSome is a run of one command over the first messages; a format with verbs
// takes their number and the prefix of mailboxes.
func onSome(n int, format string) func(*session) (int64, int64, error) {
	return func(s *session) (int64, int64, error) {
		k := min(n, some)
		command := format
		if strings.Contains(format, "%") {
			command = fmt.Sprintf(format, k, s.p.prefix)
		}
		bytes, err := s.do("%s", command)
		return int64(k), bytes, err
	}
}

// logins is a run of conns connections that each log in and out again and again.
func logins(conns int) func(*session) (int64, int64, error) {
	const each = 20
	return func(s *session) (int64, int64, error) {
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		var wg sync.WaitGroup
		for c := range conns {
			wg.Go(func() {
				for range each {
					one, err := dialIMAP(s.p, 10+c, s.secure)
					if err != nil {
						cancel(err)
						return
					}
					one.close()
				}
			})
		}
		wg.Wait()
		return int64(conns * each), 0, context.Cause(ctx)
	}
}
