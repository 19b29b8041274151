package mail

// A Finding is what one check said of a message when it came, and what that weighed:
// the sum of weights decides where it goes. A message's findings are kept with it, for
// the people who ask why.
type Finding struct {
	Check  string // "spf", "dkim", "dnsbl", "helo" …
	Result string // "pass", "fail", "listed" …; for the methods of RFC 8601 its words
	Text   string // more, for people; may hold what strangers wrote
	Weight int    // over 0: looks like junk; under 0: speaks for it
}
