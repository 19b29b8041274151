package smtp

import "time"

// Limits of a Server. Zero values take the defaults, negative ones mean no limit.
// The anchors are what other servers do.
type Limits struct {
	CommandLine int   // octets; 2,048, as Postfix and mox (RFC 5321 §4.5.3.1.4 asks for 512)
	AuthLine    int   // octets; 12,288 (RFC 4954 §4)
	DataLine    int   // octets in a line of a message; 1 MB, kept as it is
	Message     int64 // octets; 50 MB
	Recipients  int   // of one message; 1,000, as Postfix and mox

	Messages          int           // per connection; 100
	MXSession         time.Duration // 10 min, as Stalwart
	MXSessionBytes    int64         // 250 MB, as Stalwart
	SubmissionSession time.Duration // 60 min

	BadCommands            int // 20, as Postfix and Dovecot
	BadCommandsBeforeLogin int // on faces with login; 3, as Dovecot and Exim
	BadRecipients          int // refused recipients per connection; 100
	FailedLogins           int // per connection; 3, as Stalwart and James

	CommandTimeout time.Duration // waiting for a command; 5 min (RFC 5321 §4.5.3.2.7)
	LoginTimeout   time.Duration // from connecting to having logged in; 60 s
	WriteTimeout   time.Duration // output stalled; 5 min, as Dovecot
	DataTimeout    time.Duration // waiting for more data; 3 min (RFC 5321 §4.5.3.2.5)
	DataRate       int           // octets/s, asked of the data after its first minute; 500, as Postfix
	LoginPause     time.Duration // after a failed login, doubled with each; 1 s

	// GreetingPause is how long a stranger waits for the greeting, until a message of
	// its network was accepted: who speaks first is no mail server. 0: not at all. Never
	// for addresses that are not of the Internet.
	GreetingPause time.Duration
	// Paused is how many connections may wait at a time for showing signs of a spammer;
	// more pass at once. 1,000.
	Paused int

	ConnectionsPerAddress int // at once; 50, as Postfix; IPv6: per /64
	ConnectionRate        int // per minute and address; 300, as mox
}

// endless stands for no limit; as a time it is 146 years.
const endless = 1 << 62

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		v   *int
		def int
	}{
		{&l.CommandLine, 2048}, {&l.AuthLine, 12288}, {&l.DataLine, 1 << 20}, {&l.Recipients, 1000},
		{&l.Messages, 100}, {&l.BadCommands, 20}, {&l.BadCommandsBeforeLogin, 3}, {&l.BadRecipients, 100},
		{&l.FailedLogins, 3}, {&l.DataRate, 500}, {&l.ConnectionsPerAddress, 50}, {&l.ConnectionRate, 300}, {&l.Paused, 1000},
	} {
		*f.v = orDefault(*f.v, f.def, 1<<30)
	}
	l.Message = orDefault(l.Message, 50<<20, endless)
	l.MXSessionBytes = orDefault(l.MXSessionBytes, 250<<20, endless)
	for _, f := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&l.MXSession, 10 * time.Minute}, {&l.SubmissionSession, time.Hour},
		{&l.CommandTimeout, 5 * time.Minute}, {&l.LoginTimeout, time.Minute},
		{&l.WriteTimeout, 5 * time.Minute}, {&l.DataTimeout, 3 * time.Minute},
	} {
		*f.v = orDefault(*f.v, f.def, endless)
	}
	l.LoginPause = orDefault(l.LoginPause, time.Second, 0)
	return l
}

func orDefault[T int | int64 | time.Duration](v, def, none T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}
