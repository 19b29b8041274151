// Package trust judges who a message is really from, for its reader: what the checks
// at delivery found, what the reader knows of the sender, and what names, addresses
// and links pretend.
//
// Guarantees: it does no I/O and knows no words for people; a [Reason] has a stable
// code, and says what is claimed and what is so.
package trust

import (
	"strings"

	"posthouse/mail"
)

// A Status is a [Verdict] in one word.
type Status string

// The statuses.
const (
	Verified   Status = "verified"   // the author's domain stands behind the message
	Unverified Status = "unverified" // it should, and does not
	Unknown    Status = "unknown"    // it does not say
	Suspicious Status = "suspicious" // something pretends to be what it is not
)

// A Level says how much a [Reason] weighs.
type Level string

// The levels.
const (
	Good    Level = "good"
	Note    Level = "note"
	Warning Level = "warning"
)

// A Reason is one thing that a reader should know. Code is stable; the words for
// people are the client's. Shown and Real are what is claimed and what is so.
type Reason struct {
	Code  string `json:"code"`
	Level Level  `json:"level"`
	Shown string `json:"shown,omitempty"`
	Real  string `json:"real,omitempty"`
}

// A Verdict is what a message deserves; Reasons come worst first.
type Verdict struct {
	Status  Status
	Domain  string // of the author
	Reasons []Reason
}

// A Link is one that a message shows.
type Link struct{ Text, Target string }

// A Sender is what a message says of where it comes from, and what is known of that.
type Sender struct {
	Name, Domain string         // of From
	ReplyTo      []string       // domains of Reply-To
	List         string         // the name of the list that it came over, "" if none
	Text         string         // the beginning of what it says, subject first
	Findings     []mail.Finding // of the checks at delivery
	Received     string         // the Received field that this server wrote; "" if it did not
	Own          []string       // domains of the reader
	Known        Known
}

// Known is what the reader knows of a sender.
type Known struct {
	First   bool     // nothing came from this address before, nor was written to it
	Contact bool     // the address is a contact, or was written to
	Self    bool     // it is the reader's own
	SameAs  string   // the address of somebody known by this name; "" if there is none
	Domains []string // that the reader has written to
}

// The codes of Reason.
const (
	ReasonName      = "name"      // the name is that of a known sender or an address of another domain
	ReasonLookalike = "lookalike" // the domain looks like another
	ReasonLink      = "link"      // a link shows one host and leads to another
	ReasonAddress   = "address"   // a link leads to a bare IP address
	ReasonReplyTo   = "reply-to"  // answers go to another domain
	ReasonForm      = "form"      // the message asked for input
	ReasonMoney     = "money"     // a stranger speaks of money or passwords

	ReasonUnverified   = "unverified"   // the author's domain should stand behind it, and does not
	ReasonUndetermined = "undetermined" // that could not be found out: DNS did not answer
	ReasonVerified     = "verified"     // Real stands behind it
	ReasonFirst        = "first"        // the first message of this sender
	ReasonContact      = "contact"      // from somebody known
	ReasonList         = "list"         // over the list Real
	ReasonEncrypted    = "encrypted"    // the way here was encrypted
	ReasonCleartext    = "cleartext"    // it was not
)

// Judge says what a message deserves by its sender.
func Judge(s Sender) Verdict {
	v := Verdict{Status: Unknown, Domain: strings.ToLower(s.Domain)}
	transport, authenticated := transportOf(s.Received)
	result := dmarcOf(s.Findings)
	if authenticated && len(s.Findings) == 0 {
		result = "pass" // by an account of ours: only its own addresses are taken
	}
	v.Reasons = imitations(s, result == "pass")
	if len(v.Warnings()) > 0 { // a note alone accuses nobody
		v.Status = Suspicious
	}
	switch result {
	case "pass":
		v.add(ReasonVerified, Good, v.Domain, Verified)
	case "fail":
		v.add(ReasonUnverified, Warning, v.Domain, Unverified)
	case "temperror":
		v.add(ReasonUndetermined, Note, v.Domain, Unknown)
	}
	switch {
	case s.Known.Self:
	case s.Known.Contact:
		v.Reasons = append(v.Reasons, Reason{Code: ReasonContact, Level: Good})
	case s.Known.First:
		v.Reasons = append(v.Reasons, Reason{Code: ReasonFirst, Level: Note})
	}
	if s.List != "" {
		v.Reasons = append(v.Reasons, Reason{Code: ReasonList, Level: Note, Real: s.List})
	}
	if transport != "" {
		v.Reasons = append(v.Reasons, Reason{Code: transport, Level: map[string]Level{ReasonEncrypted: Good}[transport]})
		if last := &v.Reasons[len(v.Reasons)-1]; last.Level == "" {
			last.Level = Note
		}
	}
	return v
}

// add appends what authentication says, and takes its status if nothing is worse.
func (v *Verdict) add(code string, l Level, real string, s Status) {
	v.Reasons = append(v.Reasons, Reason{Code: code, Level: l, Real: real})
	if v.Status == Unknown {
		v.Status = s
	}
}

// Warnings are the reasons for mistrust.
func (v *Verdict) Warnings() []Reason {
	var out []Reason
	for _, r := range v.Reasons {
		if r.Level == Warning {
			out = append(out, r)
		}
	}
	return out
}

// Body judges what is shown of a message: its links, and the fields that it asked to
// be filled in.
func Body(links []Link, forms int) []Reason {
	var out []Reason
	for _, l := range links {
		if reason, ok := misleading(l); ok {
			out = append(out, reason)
			break
		}
	}
	if forms > 0 {
		out = append(out, Reason{Code: ReasonForm, Level: Warning})
	}
	return out
}

// dmarcOf returns the result of the check of the author's domain, "" if there is none.
func dmarcOf(list []mail.Finding) string {
	for i := range list {
		if list[i].Check == "dmarc" {
			return list[i].Result
		}
	}
	return ""
}

// transportOf reads the protocol of a Received field, RFC 3848: whether it was
// encrypted, and whether the sender had logged in.
func transportOf(received string) (code string, authenticated bool) {
	_, rest, ok := strings.Cut(received, " with ")
	if !ok {
		return "", false
	}
	with := strings.ToUpper(firstWord(rest))
	if !strings.HasPrefix(with, "ESMTP") && !strings.HasPrefix(with, "UTF8SMTP") && with != "SMTP" {
		return "", false
	}
	_, flags, _ := strings.Cut(with, "SMTP")
	if authenticated = strings.HasSuffix(flags, "A"); authenticated {
		return "", true
	}
	if strings.HasPrefix(flags, "S") {
		return ReasonEncrypted, false
	}
	return ReasonCleartext, false
}

// firstWord returns what stands before the first white space.
func firstWord(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}
