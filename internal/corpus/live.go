package corpus

import (
	"fmt"
	"strings"
	"time"

	"posthouse/mail"
)

// GuideFlag marks the message that says what to try: the client shows with it what was
// tried. A keyword can be set by the server and its owner only, not by who sends mail.
const GuideFlag = mail.Flag("$guide")

// PutOff is the subject of the conversation that a demo puts off until tomorrow.
const PutOff = "Kitchen quote"

// GoesOutLater is what Ada sends to Ben tomorrow morning.
func GoesOutLater() (subject, text string) {
	return "Minutes of today", "Ben,\n\nhere is what we agreed on: you write the change log, I look after the kitchen, and nobody works on Friday afternoon.\n\nAda\n"
}

// A Letter is a message on its way.
type Letter struct {
	From string // its reverse-path
	Raw  []byte
}

const guideText = `Welcome. This is a whole mail server with two people and their mail. It runs on your computer, and nothing leaves it.

Six things show what it is like (the key is in brackets):

1. Archive a conversation (e)
2. Take it back (z)
3. Search for something (/)
4. Open the command palette (Ctrl+K)
5. Answer somebody (r)
6. Mute a conversation (m)

Each has a button, too. In the browser they are ticked off above this text as you do them. Every 40 seconds somebody writes to Ada, so that there is something to do. Write from Ada to Ben, and sign in as Ben to see it arrive.

? shows every key.
`

// Guide is the first message of a demo, to account: what to try.
func Guide(account string, now time.Time) Item {
	raw := plain("Posthouse <hello@posthouse.example>", account, "Try these six things", now, guideText, "<six-things."+account+">", "")
	return Item{Account: account, Mailbox: "INBOX", Flags: []mail.Flag{GuideFlag}, Date: now, Raw: raw}
}

// arrivals are conversations that grow while a demo runs.
var arrivals = []struct{ from, subject, text string }{
	{"Grace Hopper <grace@elsewhere.example>", "A moth in the relay", "Found the fault of this morning: a moth in relay 70. I taped it into the log.\n\nGrace\n"},
	{"Katherine Johnson <katherine@orbit.example>", "Numbers for the re-entry", "I went through them by hand, twice. They agree with the machine to the last place. You can go.\n\nKatherine\n"},
	{"The corner bakery <brot@bakery.example>", "Your bread is ready", "Two rye, one with caraway. We are open until seven.\n"},
	{"Linus Pauling <linus@bonds.example>", "Tea at four?", "I have a new model that I would like to show to somebody. It is made of paper, so please come before I sit on it.\n\nLinus\n"},
	{"City library <desk@library.example>", "A book that you wanted is here", "“Sketch of the Analytical Engine” waits for you at the desk until Saturday.\n"},
	{"Mary Somerville <mary@stars.example>", "Re-reading your notes", "Note G is still the best of them. May I quote half a page?\n\nMary\n"},
	{"Train service <travel@rail.example>", "Platform change: 18:04 to Porto", "Your train leaves from platform 9 instead of 4.\n"},
	{"Charles Babbage <charles@engines.example>", "Budget, once more", "The workshop asks for another two hundred cogs. I know what you will say. Please say it by letter this time.\n\nC. B.\n"},
}

// Arrival is the nth message that comes to a running demo. What comes after the first
// of each sender answers it.
func Arrival(n int, now time.Time) Letter {
	a := arrivals[n%len(arrivals)]
	address := a.from[strings.Index(a.from, "<")+1 : len(a.from)-1]
	id := func(round int) string {
		return fmt.Sprintf("<live-%d-%d.%d@%s>", n%len(arrivals), round, now.Year(), address[strings.Index(address, "@")+1:])
	}
	subject, refs, text := a.subject, "", a.text
	if round := n / len(arrivals); round > 0 {
		subject, refs, text = "Re: "+subject, id(0), fmt.Sprintf("One more thing (%d):\n\n%s", round, text)
	}
	return Letter{From: address, Raw: plain(a.from, Ada, subject, now, text, id(n/len(arrivals)), refs)}
}

// plain writes a message of text alone; ids are its own, and that of what it answers or "".
func plain(from, to, subject string, at time.Time, text string, ids ...string) []byte {
	head := fmt.Sprintf("From: %s\nTo: %s\nSubject: %s\nDate: %s\nMessage-ID: %s\n", from, to, subject, at.Format(time.RFC1123Z), ids[0])
	if ids[1] != "" {
		head += fmt.Sprintf("In-Reply-To: %s\nReferences: %s\n", ids[1], ids[1])
	}
	head += "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
	return []byte(strings.ReplaceAll(head+text, "\n", "\r\n"))
}
