package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"
)

// dmarcMeta and the others are the parts of RFC 7489 §C that we read.
type dmarcMeta struct {
	Org   string `xml:"org_name"`
	Email string `xml:"email"`
	ID    string `xml:"report_id"`
	Begin int64  `xml:"date_range>begin"`
	End   int64  `xml:"date_range>end"`
}

type dmarcPolicy struct {
	Domain string `xml:"domain"`
	P      string `xml:"p"`
	SP     string `xml:"sp"`
}

type dmarcRecord struct {
	Source      string `xml:"row>source_ip"`
	Count       int64  `xml:"row>count"`
	Disposition string `xml:"row>policy_evaluated>disposition"`
	DKIM        string `xml:"row>policy_evaluated>dkim"`
	SPF         string `xml:"row>policy_evaluated>spf"`
	From        string `xml:"identifiers>header_from"`
}

// readDMARC reads an aggregate report record by record: what it takes does not grow
// with what is in it.
func readDMARC(b []byte) (*Report, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	// Only what the ASCII part of all of them says is of use.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	d.Strict = true
	r := &Report{}
	root := false
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if !root {
				return nil, errNone
			}
			return nil, err
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		if !root {
			if el.Name.Local != "feedback" {
				return nil, errNone
			}
			root = true
			continue
		}
		if err := r.dmarcElement(d, &el); err != nil {
			return nil, err
		}
	}
	if !root || r.Domain == "" {
		return nil, errNone
	}
	return r, nil
}

func (r *Report) dmarcElement(d *xml.Decoder, el *xml.StartElement) error {
	switch el.Name.Local {
	case "report_metadata":
		var m dmarcMeta
		if err := d.DecodeElement(&m, el); err != nil {
			return err
		}
		r.Reporter, r.Number = m.Org, m.ID
		r.Begin, r.End = time.Unix(m.Begin, 0).UTC(), time.Unix(m.End, 0).UTC()
	case "policy_published":
		var p dmarcPolicy
		if err := d.DecodeElement(&p, el); err != nil {
			return err
		}
		r.Domain, r.Policy = p.Domain, "p="+p.P
		if p.SP != "" {
			r.Policy += " sp=" + p.SP
		}
	case "record":
		var x dmarcRecord
		if err := d.DecodeElement(&x, el); err != nil {
			return err
		}
		pass := func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "pass") }
		return r.add(Row{Source: strings.TrimSpace(x.Source), Count: x.Count, Good: pass(x.DKIM) || pass(x.SPF),
			Result: "dkim=" + strings.TrimSpace(x.DKIM) + " spf=" + strings.TrimSpace(x.SPF),
			Detail: "from " + strings.TrimSpace(x.From) + ", " + strings.TrimSpace(x.Disposition)})
	default:
		return d.Skip()
	}
	return nil
}
