package corpus

import (
	"posthouse/mail"
	"posthouse/message"
)

// The people who write.
const (
	adaName  = "Ada Ibarra <" + Ada + ">"
	benName  = "Ben Okonkwo <" + Ben + ">"
	grace    = "Grace Okafor <grace@okafor.example>"
	linus    = "Linus Haas <linus@haas.example>"
	mei      = "Mei Tanaka <mei@tanaka.example>"
	jose     = "José Núñez <jose@nunez.example>"
	priya    = "Priya Raman <priya@raman.example>"
	aoife    = "Aoife Ní Bhriain <aoife@nibhriain.example>"
	council  = "Hilltop Allotments <office@allotments.example>"
	landlord = `"Ferreira, Rui (Imóveis)" <rui@ferreira.example>`
)

// A turn is one message of a conversation.
type turn struct {
	from, text string
}

// A conversation is a thread. Every message goes to all who take part.
type conversation struct {
	subject string
	people  []string
	mailbox string  // where it lies with us
	hours   float64 // before now, the first message
	pace    float64 // hours between messages
	seen    int     // how many of its messages were read
	quotes  bool    // answers quote what they answer
	flag    mail.Flag
	turns   []turn
}

func (g *generator) conversations() {
	for _, c := range talks {
		g.talk(c)
	}
}

// talk writes a conversation: references grow, subjects get their "Re: ".
func (g *generator) talk(c conversation) {
	var refs []string
	quoted := ""
	for i, t := range c.turns {
		body, subject := t.text, c.subject
		if i > 0 {
			subject = "Re: " + subject
			if c.quotes {
				body += "\n\nOn " + g.ago(c.hours-c.pace*float64(i-1)).Format("Mon, 2 Jan 2006 at 15:04") + ", " +
					mailboxes(c.turns[i-1].from)[0].Name + " wrote:\n" + quoted
			}
		}
		quoted = quote(body)
		others := ""
		for _, p := range c.people {
			if p == t.from {
				continue
			}
			if others != "" {
				others += ", "
			}
			others += p
		}
		l := letter{from: t.from, to: others, subject: subject, refs: refs,
			at: g.ago(c.hours - c.pace*float64(i)), id: g.id(domainOf(t.from)), body: text(body)}
		if t.text == "" || i == len(c.turns)-1 && c.flag == flagTravel {
			l.body = g.multipart("mixed", l.body, message.Attachment("application/pdf", "deposit-receipt.pdf", pdf("Deposit 300 EUR")))
		}
		var flags []mail.Flag
		if i < c.seen {
			flags = append(flags, mail.FlagSeen)
		}
		if i+1 < len(c.turns) && (c.turns[i+1].from == adaName || c.turns[i+1].from == benName) {
			flags = append(flags, mail.FlagAnswered)
		}
		if c.flag != "" && i == 0 {
			flags = append(flags, c.flag)
		}
		g.deliver(l, c.mailbox, flags...)
		refs = append(refs, l.id)
	}
}

// quote puts "> " before each line.
func quote(s string) string {
	out := ""
	for line := range lines(s) {
		if len(line) > 0 && line[0] == '>' {
			out += ">" + line + "\n"
		} else {
			out += "> " + line + "\n"
		}
	}
	return out
}

var talks = []conversation{
	{subject: "Offsite in Porto — dates and rooms", people: []string{adaName, benName, grace, linus}, mailbox: "INBOX",
		hours: 52, pace: 5, seen: 4, quotes: true, flag: flagTravel, turns: []turn{
			{grace, "Hi all,\n\nI found two venues in Porto. Could we decide on dates this week? Rooms are held until Friday.\n\nGrace"},
			{linus, "Either works. I slightly prefer 12–14 because of the train times.\n\nLinus"},
			{adaName, "12–14 is good for me too. I will book the train.\n\nAda"},
			{grace, "Great, I have confirmed 12–14. The deposit is 300 EUR.\n\nGrace"},
			{benName, "I pay the deposit today.\n\nBen"},
			{linus, "Receipt attached, it came to me by mistake. See you there!\n\nLinus"},
		}},
	{subject: "Change log positions", people: []string{adaName, benName, priya}, mailbox: "Projects/Posthouse",
		hours: 320, pace: 7, seen: 8, quotes: true, flag: flagWork, turns: []turn{
			{priya, "Reading the notes on the change log: is a position the same as a ModSeq? I would have guessed yes.\n\nPriya"},
			{adaName, "No: several changes of one transaction share a ModSeq, but each has its own position. A client that reads\nhalf a page must be able to go on from there."},
			{priya, "Then what does a client get that asks for changes since a ModSeq?"},
			{benName, "Everything above it, from the mailbox's own columns; the log is not asked. That is what makes it cheap."},
			{adaName, "And what happened is said once, so that nobody has to guess an order."},
			{priya, "Makes sense. I will write it down in the guarantees."},
			{benName, "Please with the example of the interrupted page, it took me a day to see it."},
			{priya, "Done, have a look."},
		}},
	{subject: "Lunch on Friday?", people: []string{adaName, benName}, mailbox: "INBOX", hours: 70, pace: 1.5, seen: 5, turns: []turn{
		{benName, "The new noodle place has opened. Friday, half past twelve?"},
		{adaName, "Yes! But 13:00, I have a call before."},
		{benName, "13:00 it is. I bring the umbrella this time 🌂"},
		{adaName, "👍"},
	}},
	{subject: "Kitchen quote", people: []string{adaName, jose}, mailbox: "INBOX", hours: 410, pace: 30, seen: 5, quotes: true, turns: []turn{
		{jose, "Hola Ada,\n\nThe quote for the kitchen comes to 8.450 € with the oak worktop, 7.900 € with laminate. Delivery in six weeks.\n\nSaludos\nJosé"},
		{adaName, "Thank you José. Does that include taking away the old one?"},
		{jose, "It does not: that is 220 € more. I can leave it out if you bring it to the depot yourself."},
		{adaName, "Please include it. Oak, then."},
		{jose, "Perfect, I send the contract tomorrow."},
	}},
	{subject: "Heating in the flat", people: []string{benName, landlord}, mailbox: "INBOX", hours: 200, pace: 20, seen: 2, quotes: true, turns: []turn{
		{benName, "Dear Mr Ferreira,\n\nthe radiator in the bedroom stays cold since Tuesday. Could somebody have a look?\n\nKind regards\nBen Okonkwo"},
		{landlord, "Dear Mr Okonkwo,\n\nthe plumber can come on Thursday between 9 and 11. Is somebody at home?\n\nR. Ferreira"},
		{benName, "Yes, I work from home on Thursday. Thank you!"},
		{landlord, "He found air in the pipes; it should be warm by now. Please tell me if not."},
	}},
	{subject: "Plot 14 and the water butt", people: []string{adaName, benName, council}, mailbox: "Projects/Garden", hours: 600, pace: 26, seen: 6, turns: []turn{
		{council, "Dear plot holders,\n\nthe water is turned off from 1 December. Please empty your butts.\n\nThe office"},
		{adaName, "Ours is frozen to the ground already. Is it enough to leave the tap open?"},
		{council, "It is, if the lid is off."},
		{benName, "I was there today: lid off, tap open, the robin supervised."},
		{adaName, "Thank you, Ben. And the leeks?"},
		{benName, "Magnificent. I took two, do not tell the robin."},
	}},
	{subject: "keys", people: []string{adaName, aoife}, mailbox: "INBOX", hours: 30, pace: 2, seen: 3, turns: []turn{
		{aoife, "Did you find a set of keys with a blue ribbon after the rehearsal?"},
		{adaName, "They are on my desk. I can bring them on Sunday."},
		{aoife, "You are a star. Go raibh maith agat!"},
		{aoife, "Sunday at ten is the rehearsal, by the way, not eleven."},
	}},
	{subject: "Schema question", people: []string{adaName, benName, mei, priya}, mailbox: "Projects/Posthouse", hours: 150, pace: 3, seen: 3, quotes: true, turns: []turn{
		{mei, "Should a message that is in two mailboxes count twice for the quota?"},
		{benName, "Once. It is one blob."},
		{priya, "But a client sums the sizes and gets another number."},
		{adaName, "Then the manual should say so. Once it is."},
		{mei, "OK, once. I change the test."},
		{priya, "Agreed."},
	}},
	{subject: "Book club: next meeting", people: []string{adaName, aoife, grace}, mailbox: "Archive", hours: 900, pace: 18, seen: 9, turns: []turn{
		{aoife, "We meet on the 3rd at my place. The book is “The Left Hand of Darkness”."},
		{grace, "Wonderful choice. I bring the cheese."},
		{adaName, "I have not finished it yet. How strict are we?"},
		{aoife, "Not at all. But we will talk about the ending."},
		{adaName, "Reading on the train then."},
	}},
	{subject: "Scanner", people: []string{benName, linus}, mailbox: "Archive", hours: 1100, pace: 9, seen: 9, quotes: true, turns: []turn{
		{benName, "Do you still have the old film scanner?"},
		{linus, "I do, and nobody has used it for years. Take it."},
		{benName, "I would like to pay for it!"},
		{linus, "A bottle of something red."},
	}},
	{subject: "Release notes", people: []string{adaName, benName}, mailbox: "Projects/Posthouse", hours: 26, pace: 2.5, seen: 2, quotes: true, turns: []turn{
		{adaName, "Draft of the release notes:\n\n * delivery is one durable write for many recipients\n * several devices see a change at once\n * restart takes less than two seconds\n\nWhat is missing?"},
		{benName, "That it runs without a configuration."},
		{adaName, "Added. And the thanks?"},
		{benName, "To everybody who sent a broken message. We kept them all."},
	}},
}
