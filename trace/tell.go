package trace

import (
	"fmt"
	"strings"
	"time"
)

// A Sentence is one thing that happened, in plain words.
type Sentence struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// sentences is the one table of what is said of each kind of event, before what
// became of its recipients.
var sentences = map[Kind]func(e *Event) string{
	Received: func(e *Event) string {
		return fmt.Sprintf("A message from %s%s came%s and was taken%s.", path(e.From), named(e.MessageID), e.through(), e.size())
	},
	Refused: func(e *Event) string {
		return fmt.Sprintf("A message from %s%s came%s and was refused: %s.", path(e.From), named(e.MessageID), e.through(), e.Reply)
	},
	Abandoned: func(e *Event) string {
		return fmt.Sprintf("A message from %s began to come%s, but the other side went away before its end: it still has the message.", path(e.From), e.through())
	},
	Attempt: func(e *Event) string {
		how := ""
		if len(e.Notes) > 0 {
			how = " (" + strings.Join(e.Notes, ", ") + ")"
		}
		return fmt.Sprintf("%s was asked to take it%s and answered: %s.", orSomebody(e.Remote), how, e.Reply)
	},
	Unreachable: func(e *Event) string {
		if len(e.Notes) > 0 {
			return fmt.Sprintf("%s is %s: %s.", orSomebody(e.Remote), strings.Join(e.Notes, ", "), e.Reply)
		}
		return fmt.Sprintf("%s could not be asked: %s.", orSomebody(e.Remote), e.Reply)
	},
	Reported: func(e *Event) string {
		return fmt.Sprintf("The sender %s was told: %s.", path(e.From), e.notes("a report"))
	},
	Operated: func(e *Event) string { return fmt.Sprintf("An administrator changed it: %s.", e.notes("by hand")) },
	Forgotten: func(e *Event) string {
		return "It could not be delivered, and there is nobody to tell: it was dropped."
	},
	Held:     func(e *Event) string { return fmt.Sprintf("It is held: %s.", e.notes("until somebody looks at it")) },
	Released: func(e *Event) string { return "It is no longer held." },
	Scheduled: func(e *Event) string {
		return fmt.Sprintf("It waits for its time: %s.", e.notes("as its sender asked"))
	},
	Filtered: func(e *Event) string { return fmt.Sprintf("A rule was applied: %s.", e.notes("of the recipient")) },
	GivenUp:  func(*Event) string { return "It has waited for too long." },
	Waiting:  func(e *Event) string { return fmt.Sprintf("It waits, and is tried again at %s.", e.notes("some time")) },
	Sent: func(e *Event) string {
		return fmt.Sprintf("This server sent a message of its own from %s%s: %s.", path(e.From), named(e.MessageID), e.notes("a report"))
	},
}

// fates is the one table of what is said of a recipient: the words, and what stands
// between them and the detail.
var fates = map[Became]struct{ text, sep string }{
	Nothing:   {"For %s nothing more was done", ": "},
	Delivered: {"It was delivered to %s", ", mailbox "},
	Queued:    {"For %s it went into the queue", ", to go to "},
	Forwarded: {"%s leads elsewhere: it goes on", " to "},
	Turned:    {"For %s it was refused for good", ": "},
	Deferred:  {"For %s it was not taken now, and the other side tries again", ": "},
	Dropped:   {"For %s it was thrown away", ": "},
	Relayed:   {"The server of %s has it", ": "},
	Expired:   {"For %s it was given up", ": "},
	Ruled:     {"A rule of %s was applied", ": "},
}

// fate says what became of one recipient; "" if that is nothing.
func (e *Event) fate(f *Fate) string {
	form, known := fates[f.Became]
	switch {
	case !known || f.Became == Nothing && !e.begins():
		return ""
	case f.Became == Deferred && !e.begins():
		form.text = "For %s it is tried again later"
	}
	text := fmt.Sprintf(form.text, f.Address)
	if detail := strings.TrimRight(f.Detail, ". "); detail != "" {
		text += form.sep + detail
	}
	return text + "."
}

// Tell says in plain words what happened to the message.
func (s *Story) Tell() []Sentence {
	var list []Sentence
	for i := range s.Events {
		e := &s.Events[i]
		say := func(text string) { list = append(list, Sentence{e.At, clean(text)}) }
		if f := sentences[e.Kind]; f != nil {
			say(f(e))
		} else {
			say(fmt.Sprintf("Something happened that this version does not know (%d).", e.Kind))
		}
		if len(e.Notes) > 0 && (e.Kind == Received || e.Kind == Refused) {
			say("What was found out: " + strings.Join(e.Notes, ", ") + ".")
		}
		for j := range e.To {
			if text := e.fate(&e.To[j]); text != "" {
				say(text)
			}
		}
		if e.Parent != "" {
			say("It is about the message " + e.Parent + ".")
		}
	}
	return list
}

// path spells a reverse-path for people.
func path(a string) string {
	if a == "" {
		return "<> (nobody: a report)"
	}
	return a
}

func named(id string) string {
	if id == "" {
		return ""
	}
	return " with Message-ID <" + id + ">"
}

// through says how it came.
func (e *Event) through() string {
	s := ""
	if e.Account != "" {
		s += " from the account " + e.Account
	}
	if e.Remote != "" {
		s += " from " + e.Remote
	}
	if e.Hello != "" {
		s += " (calls itself " + e.Hello + ")"
	}
	if e.By != "" {
		s += " by " + e.By
	}
	return s
}

func (e *Event) size() string {
	if e.Size == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d bytes)", e.Size)
}

func (e *Event) notes(otherwise string) string {
	if len(e.Notes) == 0 {
		return otherwise
	}
	return strings.Join(e.Notes, ", ")
}

func orSomebody(s string) string {
	if s == "" {
		return "The other server"
	}
	return s
}

// clean takes out what would break a line or a terminal: much of it was written by
// strangers.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}
