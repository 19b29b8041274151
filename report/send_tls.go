package report

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"posthouse/dns"
	"posthouse/mail"
	"posthouse/message"
	"posthouse/store/engine"
	"posthouse/tlspolicy/tlsrpt"
)

// buildTLS makes the report of one domain, RFC 8460 §4.4.
func (s *Sender) buildTLS(r engine.Reader, group []byte, d *draft) error {
	out := tlsrpt.Report{Organization: s.opts.Organization, Contact: d.from.String(), ID: d.id, DateRange: tlsrpt.DateRange{Start: d.begin, End: d.end}}
	var bad error
	err := r.Scan(group, after(group), func(_, val []byte) bool {
		var c tlsrpt.Counts
		bad = json.Unmarshal(val, &c)
		out.Policies = append(out.Policies, c)
		return bad == nil
	})
	switch {
	case err != nil:
		return err
	case bad != nil:
		return bad
	case len(out.Policies) == 0:
		return errEmpty
	}
	text, err := out.JSON()
	if err != nil {
		return err
	}
	d.name = d.fileName(".json.gz")
	d.packed, err = pack(text)
	return err
}

func (s *Sender) tlsPlaces(ctx context.Context, domain string) (list []destination, failed bool) {
	a, err := s.opts.Resolver.LookupTXT(ctx, "_smtp._tls."+domain)
	if err != nil {
		return nil, !dns.IsAbsent(err)
	}
	for _, uri := range tlsrpt.Recipients(a.Records) {
		if to, ok := addressIn(uri); ok {
			list = append(list, destination{uri: strings.ToLower(uri), to: to})
		} else if u, err := url.Parse(uri); err == nil && strings.EqualFold(u.Scheme, "https") && u.Host != "" && u.User == nil {
			list = append(list, destination{uri: uri, url: uri})
		}
	}
	return list, false
}

// tlsMail is the message of RFC 8460 §5.3. It goes whatever TLS its receiver can do: what
// is wrong with that may be what it tells.
func (s *Sender) tlsMail(d *draft, to mail.Address) ([]byte, error) {
	file := message.Data("application/tlsrpt+gzip", d.packed)
	m, err := s.multipart("report", "This is a report about TLS (RFC 8460)", d, file, message.Param{Name: "report-type", Value: "tlsrpt"})
	if err != nil {
		return nil, err
	}
	m.SetRaw("TLS-Report-Domain", d.domain)
	m.SetRaw("TLS-Report-Submitter", d.submitter)
	m.SetRaw("TLS-Required", "No")
	return s.address(m, d, to)
}
