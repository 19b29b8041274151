// Package report reads the reports that other servers send about mail in our name, and
// keeps them for the administration: DMARC aggregate reports (RFC 7489 §7.2), TLS reports
// (RFC 8460 §5) and feedback reports of complaints (ARF, RFC 5965). It also sends such
// reports: a [Tally] counts what DMARC says of mail and how TLS to other servers went, and
// a [Sender] tells those domains once a day that ask for it in DNS.
//
// Whoever knows the address can send one, so reading is bounded at every step: size,
// what compression makes of it, rows and the length of every text. A report is what its
// sender says; whether DKIM confirms who that is is kept with it.
//
// # Keys
//
// In account 0 of the engine: "rr" TIME SEQ, 8 and 4 bytes big-endian (microseconds since
// 1970), holds a [Report] as JSON. Of what is sent, DAY the days since 1970 in 4 bytes,
// hashes of SHA-256:
//
//	rd DAY domain 00 POLICY         the policy of a DMARC report, JSON; POLICY 4 bytes of its hash
//	rd DAY domain 00 POLICY ROW     one of its rows with the number of messages; 8 bytes
//	rt DAY domain 00 POLICY         sessions with a domain's servers under one TLS policy; 8 bytes
//	rf DAY domain 00 LIKE           a message that failed, JSON, and how many were like it; 8 bytes
//	rs KEY DEST                     the report that KEY begins has gone to DEST, 8 bytes of its URI;
//	                                of a failure also that all have it
//
// A day's report is sent after the day, at a time of the next hours that depends on the
// domain. Each destination is noted by the commit that queues its message, and when all
// have it, the counts are deleted: a crash neither loses a report nor sends it twice. What
// a domain wants to hear of single messages (RFC 7489 §7.3) is sent within minutes, at most
// ten a day, and deleted when the day is over.
package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"time"

	"posthouse/message"
)

// A Kind is what a Report is about.
type Kind string

// The kinds.
const (
	DMARC    Kind = "dmarc"
	TLS      Kind = "tls"
	Feedback Kind = "feedback"
)

// A Report is one report, in the words of its sender.
type Report struct {
	ID       string    `json:"id"` // ours
	Kind     Kind      `json:"kind"`
	Received time.Time `json:"received"`
	From     string    `json:"from"`   // address in From of its message
	Signed   []string  `json:"signed"` // domains whose DKIM signature on it holds
	Reporter string    `json:"reporter"`
	Number   string    `json:"number"` // its report id
	Domain   string    `json:"domain"` // of ours that it is about
	Begin    time.Time `json:"begin"`
	End      time.Time `json:"end"`
	Policy   string    `json:"policy"`              // that the reporter found
	Sender   string    `json:"sender,omitempty"`    // of feedback: the address that the mail came from
	To       string    `json:"recipient,omitempty"` // of feedback: who complains
	Good     int64     `json:"good"`                // messages or sessions
	Bad      int64     `json:"bad"`
	Rows     []Row     `json:"rows"`
	More     int       `json:"more"` // rows that were left out
}

// A Row is one line of a report.
type Row struct {
	Source string `json:"source"` // address or host
	Count  int64  `json:"count"`
	Good   bool   `json:"good"`
	Result string `json:"result"` // as "dkim=fail spf=pass", or the type of a failure
	Detail string `json:"detail"`
}

// Limits of a report.
const (
	maxEncoded = 15 << 20 // octets of a part, as it stands in the message
	maxPlain   = 20 << 20 // octets of a report when it is unpacked
	maxRatio   = 200      // times that compression may make of it, above 1 MB
	maxRows    = 1000     // that are kept; totals count all
	maxParsed  = 200_000  // that are read
	maxText    = 300
	maxParts   = 20 // parts that are looked at
)

var (
	errNone   = errors.New("report: not a report")
	errBounds = errors.New("report: too large")
)

// A format is one kind of report: the parts that hold it and how they are read.
type format struct {
	kind Kind
	fits func(m *message.Message, p *message.Part) bool
	read func(b []byte) (*Report, error)
}

func formats() []format {
	return []format{{TLS, isTLS, readTLS}, {Feedback, isFeedback, readFeedback}, {DMARC, isDMARC, readDMARC}}
}

// Read finds the report in a message whose bytes r reads. It is errNone's false, without
// an error, for mail that is no report; an error for one that cannot be read.
func Read(m *message.Message, r io.ReaderAt) (*Report, bool, error) {
	var failed error
	for _, f := range formats() {
		for i := range m.Parts[:min(len(m.Parts), maxParts)] {
			p := &m.Parts[i]
			if p.IsMultipart() || !f.fits(m, p) {
				continue
			}
			b, err := unpack(p, r)
			if err == nil {
				var rep *Report
				if rep, err = f.read(b); err == nil {
					rep.Kind = f.kind
					// Of DANE the report names the server only (RFC 8460 §1.1).
					if about := m.Header.Text("TLS-Report-Domain"); f.kind == TLS && about != "" && strings.HasPrefix(rep.Policy, "tlsa") {
						rep.Domain = about
					}
					rep.tidy()
					return rep, true, nil
				}
			}
			if !errors.Is(err, errNone) {
				failed = err
			}
		}
	}
	return nil, false, failed
}

func isType(p *message.Part, types ...string) bool {
	full := p.Type + "/" + p.Subtype
	for _, t := range types {
		if full == t {
			return true
		}
	}
	return false
}

func reportType(m *message.Message) string {
	if m.Parts[0].Type != "multipart" || m.Parts[0].Subtype != "report" {
		return ""
	}
	return strings.ToLower(m.Parts[0].Param("report-type"))
}

func isTLS(_ *message.Message, p *message.Part) bool {
	return isType(p, "application/tlsrpt+gzip", "application/tlsrpt+json")
}

func isFeedback(m *message.Message, p *message.Part) bool {
	return reportType(m) == "feedback-report" && isType(p, "message/feedback-report")
}

// isDMARC: RFC 7489 §7.2.1.1 asks for gzip; many send zip, and call it what they like.
func isDMARC(_ *message.Message, p *message.Part) bool {
	name := strings.ToLower(p.Filename())
	switch {
	case isType(p, "application/gzip", "application/x-gzip", "application/zip", "application/x-zip-compressed", "text/xml", "application/xml"):
		return true
	case isType(p, "application/octet-stream", "application/x-zip"):
		return strings.HasSuffix(name, ".xml") || strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".zip")
	}
	return false
}

// unpack decodes a part and what it is packed in, known by its first bytes.
func unpack(p *message.Part, r io.ReaderAt) ([]byte, error) {
	if p.Size() > maxEncoded {
		return nil, errBounds
	}
	d, err := message.NewDecoder(io.NewSectionReader(r, p.BodyStart, p.Size()), p.Encoding)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(d, maxEncoded+1))
	if err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return bounded(z, len(b))
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return unzip(b)
	}
	return b, nil
}

// bounded reads what unpacking makes of n octets.
func bounded(r io.Reader, n int) ([]byte, error) {
	limit := min(maxPlain, max(1<<20, maxRatio*n))
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = errBounds
	}
	return b, err
}

// unzip reads the first file that is XML: an archive is never unpacked whole.
func unzip(b []byte) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	for _, f := range z.File[:min(len(z.File), maxParts)] {
		if f.FileInfo().IsDir() || !strings.HasSuffix(strings.ToLower(f.Name), ".xml") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return bounded(r, len(b))
	}
	return nil, errNone
}

// clip bounds a text and takes out what breaks lines.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.TrimSpace(s)
}

// tidy bounds what is kept.
func (r *Report) tidy() {
	for _, s := range []*string{&r.Sender, &r.To, &r.Reporter, &r.Number, &r.Domain, &r.Policy} {
		*s = clip(*s)
	}
	r.Domain = strings.ToLower(r.Domain)
	if n := len(r.Rows); n > maxRows {
		r.Rows, r.More = r.Rows[:maxRows], r.More+n-maxRows
	}
	if r.Rows == nil {
		r.Rows = []Row{}
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Source, row.Result, row.Detail = clip(row.Source), clip(row.Result), clip(row.Detail)
	}
}

// add counts a row.
func (r *Report) add(row Row) error {
	if len(r.Rows) >= maxParsed {
		return errBounds
	}
	row.Count = max(0, min(row.Count, 1<<40))
	if row.Good {
		r.Good += row.Count
	} else {
		r.Bad += row.Count
	}
	r.Rows = append(r.Rows, row)
	return nil
}
