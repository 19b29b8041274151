package jmap

import "time"

// Limits of what a client may ask. Zero values take the defaults; negative ones
// switch a limit off.
type Limits struct {
	RequestBytes    int64         // of one request; 10 MB
	Calls           int           // methods in one request; 32
	Get             int           // objects of one /get; 1,000
	Set             int           // objects of one /set; 500
	Concurrent      int           // requests of one user at a time; 8
	UploadBytes     int64         // of one upload; 50 MB
	Uploads         int           // uploads of one user at a time; 4
	UnusedBytes     int64         // of uploads that nothing refers to, in all; 200 MB
	UnusedTime      time.Duration // for which they are kept; 24 h
	Depth           int           // of JSON; 64
	FilterDepth     int           // of FilterOperators; 16
	Conditions      int           // of one filter; 256
	SortKeys        int           // of one query; 16
	Streams         int           // event streams and WebSockets of one user; 10
	BodyRate        int           // bytes a second that a client must send; 1,000
	UserPerMinute   int           // requests of one user; 1,000
	IndexBytes      int64         // of memory for what is known of accounts in use; 64 MB
	Subscriptions   int           // push subscriptions of one user; 20
	SessionLifetime time.Duration // for which a login lasts without being used; 14 days
	MaxDelayedSend  time.Duration // how far ahead a message may be scheduled; 1 year
}

// noLimit stands for a limit that is off.
const noLimit = 1<<31 - 1

func orDefault[T int | int64 | time.Duration](v *T, def T) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = noLimit
	}
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.RequestBytes, 10_000_000)
	orDefault(&l.Calls, 32)
	orDefault(&l.Get, 1000)
	orDefault(&l.Set, 500)
	orDefault(&l.Concurrent, 8)
	orDefault(&l.UploadBytes, 50<<20)
	orDefault(&l.Uploads, 4)
	orDefault(&l.UnusedBytes, 200<<20)
	orDefault(&l.UnusedTime, 24*time.Hour)
	orDefault(&l.Depth, 64)
	orDefault(&l.FilterDepth, 16)
	orDefault(&l.Conditions, 256)
	orDefault(&l.SortKeys, 16)
	orDefault(&l.Streams, 10)
	orDefault(&l.BodyRate, 1000)
	orDefault(&l.UserPerMinute, 1000)
	orDefault(&l.IndexBytes, 64<<20)
	orDefault(&l.Subscriptions, 20)
	orDefault(&l.SessionLifetime, 14*24*time.Hour)
	orDefault(&l.MaxDelayedSend, 365*24*time.Hour)
	return l
}
