package report

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"posthouse/mail"
	"posthouse/message"
	"posthouse/smtp/wire"
	"posthouse/store/engine"
)

func asciiDomain(d mail.Domain) (string, error) { return wire.DomainToASCII(d) }

// fileName is that of RFC 7489 §7.2.1.1 and RFC 8460 §5.1.
func (d *draft) fileName(extension string) string {
	return fmt.Sprintf("%s!%s!%d!%d!%s%s", d.submitter, d.domain, d.begin.Unix(), d.end.Unix(), d.id, extension)
}

// subject is the same for both kinds, too.
func (d *draft) subject() string {
	if d.failure != nil {
		return "DMARC failure report for " + d.domain
	}
	return "Report Domain: " + d.domain + " Submitter: " + d.submitter + " Report-ID: <" + d.id + "@" + d.submitter + ">"
}

func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// mailSize is how large the report is in a message: RFC 7489 §7.2.1 counts what the
// transport makes of it.
func mailSize(d *draft) int64 { return int64(len(d.packed)+2)/3*4 + int64(len(d.packed))/57*2 + 2 }

func (s *Sender) dmarcMail(d *draft, to mail.Address) ([]byte, error) {
	m, err := s.multipart("mixed", "This is an aggregate report about DMARC (RFC 7489)", d, message.Data("application/gzip", d.packed))
	if err != nil {
		return nil, err
	}
	return s.address(m, d, to)
}

// multipart puts the file behind some words for people.
func (s *Sender) multipart(subtype, what string, d *draft, file *message.Entity, params ...message.Param) (*message.Entity, error) {
	boundary, err := message.NewBoundary(s.opts.Rand)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s of the mail server %s about %s,\nfrom %s to %s.\n\nIt is sent because the DNS of %[3]s asks for it.\n",
		what, s.opts.Hostname, d.domain, d.begin.Format(time.RFC3339), d.end.Format(time.RFC3339))
	file.SetDisposition("attachment", d.name)
	return message.Multipart(subtype, boundary, []*message.Entity{message.Text("plain", text), file}, params...), nil
}

// address ends the header.
func (s *Sender) address(m *message.Entity, d *draft, to mail.Address) ([]byte, error) {
	now := s.opts.Now()
	id, err := message.NewMessageID(s.opts.Rand, now, d.submitter)
	if err != nil {
		return nil, err
	}
	m.SetAddresses("From", message.Mailbox{Name: s.opts.Organization, Address: d.from})
	m.SetAddresses("To", message.Mailbox{Address: to})
	m.Set("Subject", d.subject())
	m.SetDate("Date", now)
	m.SetRaw("Message-ID", id)
	m.SetRaw("Auto-Submitted", "auto-generated") // RFC 3834 §5
	return m.Append(nil), nil
}

// addressIn is the address of a mailto: URI (RFC 6068 §2). One that is not ASCII is not
// written to.
func addressIn(uri string) (mail.Address, bool) {
	const scheme = "mailto:"
	if len(uri) <= len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return mail.Address{}, false
	}
	text, _, _ := strings.Cut(uri[len(scheme):], "?")
	text, err := url.PathUnescape(text)
	if err != nil {
		return mail.Address{}, false
	}
	a, err := wire.ParseAddress(text)
	return a, err == nil && a.IsASCII() && a.Domain != "" && !strings.HasPrefix(string(a.Domain), "[")
}

// tooLarge tells those who want a report that it does not fit, RFC 7489 §7.2.2.
func (s *Sender) tooLarge(ctx context.Context, m *making, group []byte, d *draft, list []destination) {
	if m.kind != DMARC {
		return
	}
	var uris []string
	for _, to := range list {
		uris = append(uris, to.uri)
	}
	for _, to := range list[:min(len(list), maxDestinations)] {
		text := fmt.Sprintf("Report-Date: %s\nReport-Domain: %s\nReport-ID: %s\nReport-Size: %d\nSubmitter: %s\nSubmitting-URI: %s\n",
			s.opts.Now().UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700"), d.domain, d.id, mailSize(d), d.submitter, strings.Join(uris, ","))
		content, err := s.address(message.Text("plain", text), d, to.to)
		if err == nil {
			_, err = s.inject(ctx, d, to.to, content, &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Kind: engine.Set, Key: sentKey(group, "error "+to.uri)}}})
		}
		if err != nil {
			s.opts.Logger.Info("report: nobody was told that it is too large", "domain", d.domain, "to", to.uri, "err", err)
		}
	}
}
