package imap

import (
	"time"

	"posthouse/imap/wire"
)

// Limits bound what one connection may cost. A zero field takes its default, a
// negative number means no limit.
type Limits struct {
	LineBeforeLogin     int           // bytes, 8 kB
	LiteralBeforeLogin  int           // bytes, 4 kB each and twice that in a command
	Line                int           // bytes, 64 kB: longer ones are BAD
	Flood               int           // bytes of a line, 1 MB: longer ones end the connection
	Literal             int           // bytes of a literal that is not a message, 128 kB
	Literals            int           // bytes of all of them in one command, 1 MB
	MessageBytes        int64         // APPEND, announced as APPENDLIMIT; 50 MB
	AppendMessages      int           // messages in one APPEND, 1,000
	Nesting             int           // parentheses and NOT, 100
	FetchItems          int           // of one FETCH, 100
	HeaderNames         int           // of one FETCH item, 200
	SearchKeys          int           // of one SEARCH, 1,000
	ListPatterns        int           // of one LIST, 100
	Messages            int           // that one command takes, announced as MESSAGELIMIT; no limit
	PatternBytes        int           // of each of them, 1 kB
	BadCommands         int           // in a row after login, 20
	BadBeforeLogin      int           // in a row before login, 3
	FailedLogins        int           // on one connection, 3
	LoginPause          time.Duration // after the first failed login, doubled by each, 1 s; negative: none
	LoginTime           time.Duration // from connecting to login, 60 s
	IdleTime            time.Duration // without a command, also in IDLE, 30 min
	StallTime           time.Duration // for a client that does not read, 5 min
	ProgressTime        time.Duration // between words about how far a long command is, 10 s
	PerAddress          int           // connections of one address (IPv6: /64) before login, 50
	ConnectionRate      int           // new connections of one address in a minute, 300; not counted on loopback
	PerUserAddress      int           // connections of one account from one address, 50
	FlushBytes          int           // output gathered before it is written, 64 kB
	FetchWhole          int           // messages up to this size are read in one piece, 256 kB
	OutsizeSkippedBytes int64         // of a refused literal that are read and dropped, 100 MB; more ends the connection
}

// forever is a time that nobody waits for, small enough to be added to a date.
const forever = 100 * 365 * 24 * time.Hour

// noLimit is what a limit is that was switched off.
const noLimit = 1<<31 - 1

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	n := func(p *int, def int) {
		if *p == 0 {
			*p = def
		} else if *p < 0 {
			*p = noLimit
		}
	}
	d := func(p *time.Duration, def time.Duration) {
		if *p == 0 {
			*p = def
		} else if *p < 0 {
			*p = forever
		}
	}
	n(&l.LineBeforeLogin, 8<<10)
	n(&l.LiteralBeforeLogin, 4<<10)
	n(&l.Line, 64<<10)
	n(&l.Flood, 1<<20)
	n(&l.Literal, 128<<10)
	n(&l.Literals, 1<<20)
	n(&l.AppendMessages, 1000)
	n(&l.Nesting, 100)
	l.Nesting = min(l.Nesting, 1000) // a goroutine's stack is not to be trusted beyond
	n(&l.FetchItems, 100)
	n(&l.HeaderNames, 200)
	n(&l.SearchKeys, 1000)
	n(&l.ListPatterns, 100)
	n(&l.Messages, noLimit)
	n(&l.PatternBytes, 1<<10)
	n(&l.BadCommands, 20)
	n(&l.BadBeforeLogin, 3)
	n(&l.FailedLogins, 3)
	n(&l.PerAddress, 50)
	n(&l.ConnectionRate, 300)
	n(&l.PerUserAddress, 50)
	n(&l.FlushBytes, 64<<10)
	n(&l.FetchWhole, 256<<10)
	if l.LoginPause == 0 {
		l.LoginPause = time.Second
	}
	d(&l.LoginTime, time.Minute)
	d(&l.IdleTime, 30*time.Minute)
	d(&l.StallTime, 5*time.Minute)
	d(&l.ProgressTime, 10*time.Second)
	l.MessageBytes = bytesOr(l.MessageBytes, 50<<20)
	l.OutsizeSkippedBytes = bytesOr(l.OutsizeSkippedBytes, 100<<20)
	return l
}

func bytesOr(n, def int64) int64 {
	switch {
	case n == 0:
		return def
	case n < 0:
		return 1<<63 - 1
	}
	return n
}

// wire is what the grammar needs of l.
func (l *Limits) wire(authenticated bool) wire.Limits {
	if !authenticated {
		return wire.Limits{Line: l.LineBeforeLogin, Flood: l.Flood, Depth: l.Nesting,
			Literal: int64(l.LiteralBeforeLogin), Literals: 2 * int64(l.LiteralBeforeLogin)}
	}
	return wire.Limits{Line: l.Line, Flood: l.Flood, Depth: l.Nesting,
		Literal: int64(l.Literal), Literals: int64(l.Literals)}
}
