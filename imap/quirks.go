package imap

import (
	"slices"
	"strings"
)

// A quirk is what a client that people use needs beside the standards. Where it has
// to be told by its name, something is withheld from it; else it is told by what it
// does, and everybody may do that. Each has its dialogue, quirk_*.txt.
type quirk struct {
	client   string // as people call it
	id       string // how the name begins that it tells with ID, in any case; "": not needed
	version  string // and its version
	withhold []string
	does     string // what it does
	answer   string // what is done about it
	shown    string // the dialogue
}

// quirks are those that are known.
var quirks = []quirk{
	{client: "Outlook (Microsoft 365 service)", id: "Microsoft Office 365", withhold: []string{"UIDONLY"},
		does: "Enables UIDONLY and then does not understand UIDFETCH: no mail arrives.", answer: "UIDONLY is withheld.", shown: "quirk_outlook_service"},
	{client: "Outlook", does: "Asks for LSUB alone and shows what it names; writes a day of one digit without a space before it in APPEND.",
		answer: "LSUB names every subscription, those that cannot be opened as \\Noselect; both spellings are read.", shown: "quirk_outlook"},
	{client: "Apple Mail (iOS 18)", does: "Sends DONE and the next commands in one packet.",
		answer: "What stands behind DONE is read as commands.", shown: "quirk_apple"},
	{client: "Thunderbird", does: "Sends search strings in UTF-8 between quotes, with CHARSET and without; puts a hierarchy separator behind the names of mailboxes that may have children.",
		answer: "Quoted UTF-8 is taken from anyone; one separator at the end is passed over.", shown: "quirk_thunderbird"},
	{client: "JavaMail", does: "Sends search strings as literals behind CHARSET UTF-8.", answer: "Literals are taken wherever a string may stand.", shown: "quirk_javamail"},
	{client: "Google's importers", does: "Read whole mailboxes message by message with EXAMINE and BODY.PEEK[], and ask for X-GM items where they see them announced.",
		answer: "EXAMINE and PEEK leave \\Seen and \\Recent alone.", shown: "quirk_importer"},
	{client: "K-9 Mail, Thunderbird for Android", does: "Looks for messages by number in UID SEARCH, and for all folders by an empty reference.",
		answer: "UID SEARCH takes message numbers as keys.", shown: "quirk_k9"},
	{client: "mutt", does: "Asks for the STATUS of the mailbox that is selected.", answer: "STATUS tells the state of the moment; what is new is told as after any command.", shown: "quirk_mutt"},
	{client: "imapflow", does: "Reads APPENDLIMIT without a value as 0 and refuses to append.", answer: "The value is always told.", shown: "quirk_imapflow"},
	{client: "c-client (Alpine, PHP)", does: "Crashes or loses parts where a body type is empty.", answer: "A part without a type is text/plain.", shown: "quirk_cclient"},
}

// rules are the quirks that withhold something: the operator's first.
func rules(from map[string]string) (out []quirk) {
	for name, what := range from {
		id, version, _ := strings.Cut(name, "/")
		out = append(out, quirk{id: id, version: version, withhold: strings.Fields(what)})
	}
	slices.SortFunc(out, func(a, b quirk) int { // the longest names first: they say the most
		if n := len(b.id+b.version) - len(a.id+a.version); n != 0 {
			return n
		}
		return strings.Compare(a.id+a.version, b.id+b.version)
	})
	for _, q := range quirks {
		if q.id != "" {
			out = append(out, q)
		}
	}
	return out
}

// tablesFor returns what is offered to a client: the first rule that names it holds.
func (s *Server) tablesFor(name, version string) *tables {
	i := slices.IndexFunc(s.rules, func(q quirk) bool { return hasPrefixFold(name, q.id) && hasPrefixFold(version, q.version) })
	if i < 0 || len(s.rules[i].withhold) == 0 {
		return s.tables
	}
	key := strings.ToUpper(strings.Join(s.rules[i].withhold, " "))
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.special[key]
	if t == nil {
		t = newTables(offered(slices.Clone(s.tables.extensions), &s.opts, s.rules[i].withhold...))
		s.special[key] = t
	}
	return t
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
