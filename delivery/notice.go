package delivery

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"posthouse/mail"
	"posthouse/message"
)

// A notice is a message of this server to somebody here.
type notice struct {
	host, subject string
	to            mail.Address
}

func textMessage(host string, to mail.Address, subject string) notice {
	return notice{host: host, subject: subject, to: to}
}

// build returns the whole message.
func (n notice) build(random io.Reader, now time.Time, text string) ([]byte, error) {
	id, err := message.NewMessageID(random, now, n.host)
	if err != nil {
		return nil, err
	}
	m := message.Text("plain", text)
	m.SetAddresses("From", message.Mailbox{Name: "Mail server " + n.host, Address: mail.Address{Local: "postmaster", Domain: mail.Domain(n.host)}})
	m.SetAddresses("To", message.Mailbox{Address: n.to})
	m.Set("Subject", n.subject)
	m.SetDate("Date", now)
	m.SetRaw("Message-ID", id)
	m.SetRaw("Auto-Submitted", "auto-generated") // RFC 3834 §5
	return m.Append(nil), nil
}

// TellAdministrator delivers a message of the server about a domain to its postmaster:
// the administrator, unless the domain has one of its own.
func (s *Service) TellAdministrator(ctx context.Context, d mail.Domain, subject, text string) error {
	now := s.opts.Now()
	to := mail.Address{Local: "postmaster", Domain: d}
	content, err := textMessage(s.opts.Hostname, to, subject).build(s.opts.Rand, now, text)
	if err != nil {
		return err
	}
	env := mail.Envelope{TraceID: "notice-" + strconv.FormatInt(now.UnixMicro(), 36), Recipients: []mail.Recipient{{Address: to, Notify: mail.NotifyNever}}}
	return s.Inject(ctx, env, content, nil)
}

func heldText(owner, host string, most Caps, tid string) string {
	return fmt.Sprintf(`This is the mail server %s.

The account %s has sent more mail to others today than it may: at most %s
messages, and messages to at most %s addresses that it never wrote to before.
What it sends now is kept, and goes out when an administrator releases it.
Nothing is lost, and nothing was sent back.

If you did not send it, somebody else knows your password: change it now, and
tell the administrator.

For the administrator: posthouse queue list shows what is held, posthouse trace
%s tells about the first message, and posthouse queue release or bounce decides.
The bounds are account_messages_per_day and account_new_recipients_per_day of
the configuration; posthouse account set --send-limit gives one account others.
`, host, owner, most.number(most.Messages), most.number(most.NewRecipients), tid)
}

// number spells a bound.
func (Caps) number(n int) string {
	if n >= noLimit {
		return "any number of"
	}
	return strconv.Itoa(n)
}
