package web

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"text/template"
	"time"

	_ "embed"

	"posthouse/mail"
	"posthouse/publish"
	"posthouse/smtp/wire"
	"posthouse/tlspolicy/mtasts"
)

//go:embed autoconfig.xml
var autoconfigText string

//go:embed autodiscover.xml
var autodiscoverText string

//go:embed profile.mobileconfig
var profileText string

// What a template is given is escaped for XML: an address is what somebody else wrote.
var (
	autoconfigForm   = xmlTemplate("autoconfig", autoconfigText)
	autodiscoverForm = xmlTemplate("autodiscover", autodiscoverText)
	profileForm      = xmlTemplate("profile", profileText)
)

func xmlTemplate(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"x": escapeXML, "uuid": uuidOf}).Parse(text))
}

func escapeXML(s string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

// uuidOf is a UUID that is always the same for the same things (RFC 9562 §5.8).
func uuidOf(kind, name string) string {
	b := sha256.Sum256([]byte(kind + "\x00" + name))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// wellKnown are the pages that other servers and mail programs ask for by their names.
func (s *Server) wellKnown(stranger func(pattern string, f http.HandlerFunc)) {
	if s.opts.Publish == nil {
		return
	}
	stranger("GET "+mtasts.Path, s.stsPolicy)
	for _, at := range []string{"/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml"} {
		stranger("GET "+at, s.autoconfig)
	}
	for _, at := range []string{"/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"} {
		stranger("POST "+at, s.autodiscover)
	}
	stranger("GET /profile.mobileconfig", s.profile)
}

// hostOf is the name that a request is for.
func hostOf(r *http.Request) string {
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		return h
	}
	return r.Host
}

// stsPolicy shows the MTA-STS policy of the domain whose policy host is asked (RFC 8461
// §3.3).
func (s *Server) stsPolicy(w http.ResponseWriter, r *http.Request) {
	d, label, ok := s.opts.Publish.DomainOf(r.Context(), hostOf(r))
	if !ok || label != "mta-sts." {
		http.NotFound(w, r)
		return
	}
	p, _, err := s.opts.Publish.STSPolicy(r.Context(), d)
	if err != nil {
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, p.String())
}

// settings is what the forms show.
type settings struct {
	Address, Domain, Host string
	Incoming, Outgoing    []publish.Setting
	Best                  struct{ In, Out publish.Setting }
	ID                    string
}

// settingsFor finds the settings for an address, or, if it is "", for the domain that the
// host belongs to.
func (s *Server) settingsFor(r *http.Request, address string) (settings, bool) {
	out := settings{Address: address, Host: s.opts.Hostname}
	var d mail.Domain
	if a, err := wire.ParseAddress(address); err == nil && a.Domain != "" {
		d = a.Domain
		out.ID = mail.Address{Local: strings.ToLower(a.Local), Domain: d}.String()
	} else if found, _, ok := s.opts.Publish.DomainOf(r.Context(), hostOf(r)); ok && address == "" {
		d = found
	} else {
		return out, false
	}
	list, err := s.opts.Publish.Settings(r.Context(), d)
	if err != nil {
		return out, false
	}
	out.Domain = string(d)
	for _, st := range list {
		if st.Protocol == "imap" {
			out.Incoming = append(out.Incoming, st)
		} else {
			out.Outgoing = append(out.Outgoing, st)
		}
	}
	if len(out.Incoming) == 0 || len(out.Outgoing) == 0 {
		return out, false
	}
	out.Best.In, out.Best.Out = out.Incoming[0], out.Outgoing[0]
	return out, true
}

// autoconfig is what Thunderbird and its like ask for; they fill in the address.
func (s *Server) autoconfig(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, autoconfigForm, "application/xml; charset=utf-8", r.URL.Query().Get("emailaddress"))
}

// profile is what an iPhone or a Mac installs to have the account.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	address := r.URL.Query().Get("email")
	if address == "" {
		http.Error(w, "say for whom: ?email=you@example.org", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="mail.mobileconfig"`)
	s.show(w, r, profileForm, "application/x-apple-aspen-config; charset=utf-8", address)
}

func (s *Server) show(w http.ResponseWriter, r *http.Request, form *template.Template, typ, address string) {
	set, ok := s.settingsFor(r, address)
	if !ok {
		w.Header().Del("Content-Disposition")
		http.NotFound(w, r)
		return
	}
	var b strings.Builder
	if err := form.Execute(&b, set); err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", typ)
	_, _ = io.WriteString(w, b.String())
}

// maxAsked bounds what Outlook asks with, and askTime how long it may take.
const (
	maxAsked = 16 << 10
	askTime  = 10 * time.Second
)

// autodiscover is what Outlook asks for: the address stands in the request.
func (s *Server) autodiscover(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(askTime)) // a recorder has none
	var asked struct {
		Request struct {
			Address string `xml:"EMailAddress"`
		} `xml:"Request"`
	}
	if err := xml.NewDecoder(http.MaxBytesReader(w, r.Body, maxAsked)).Decode(&asked); err != nil {
		http.Error(w, "this is no request for autodiscover", http.StatusBadRequest)
		return
	}
	address := strings.TrimSpace(asked.Request.Address)
	if address == "" {
		http.Error(w, "no EMailAddress", http.StatusBadRequest)
		return
	}
	s.show(w, r, autodiscoverForm, "application/xml; charset=utf-8", address)
}
