package render

import (
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// A Reason is why a message may not be what it says. Code is stable; the words for
// people are the client's. Shown and Real are what is claimed and what is so.
type Reason struct {
	Code  string `json:"code"`
	Shown string `json:"shown,omitempty"`
	Real  string `json:"real,omitempty"`
}

// A Sender is what a message says of where it comes from.
type Sender struct {
	Name, Domain string   // of From
	ReplyTo      []string // domains of Reply-To
	Verified     bool     // the From domain stands behind the message
	Own          []string // domains of the reader
}

// The codes of Reason.
const (
	ReasonName      = "name"      // the name is that of a known sender or an address of another domain
	ReasonLookalike = "lookalike" // the domain looks like another
	ReasonLink      = "link"      // a link shows one host and leads to another
	ReasonReplyTo   = "reply-to"  // answers go to another domain
	ReasonForm      = "form"      // the message asked for input
	ReasonAddress   = "address"   // a link leads to a bare IP address
)

// brands are names that are imitated most, with the domains that may bear them.
var brands = map[string][]string{
	"paypal": {"paypal.com", "paypal.de", "paypal.me"}, "microsoft": {"microsoft.com", "office.com", "live.com", "outlook.com"}, "apple": {"apple.com", "icloud.com"},
	"google": {"google.com", "youtube.com", "gmail.com"}, "amazon": {"amazon.com", "amazon.de", "amazon.co.uk", "amazon.fr", "amazonaws.com"}, "netflix": {"netflix.com"},
	"dhl": {"dhl.com", "dhl.de"}, "fedex": {"fedex.com"}, "docusign": {"docusign.com", "docusign.net"}, "facebook": {"facebook.com", "facebookmail.com"},
	"linkedin": {"linkedin.com"}, "instagram": {"instagram.com"}, "whatsapp": {"whatsapp.com"}, "dropbox": {"dropbox.com"}, "adobe": {"adobe.com"},
}

// Reasons lists why a message may not be what it says, worst first.
func Reasons(s Sender, r *Result) []Reason {
	var out []Reason
	domain := strings.ToLower(s.Domain)
	site := Site(domain)
	if claimed := claimedBy(s.Name, site); claimed != "" {
		out = append(out, Reason{ReasonName, claimed, domain})
	}
	if like := lookalike(site, s.Own); like != "" {
		out = append(out, Reason{ReasonLookalike, like, domain})
	}
	for _, l := range r.Links {
		if reason, ok := misleading(l); ok {
			out = append(out, reason)
			break
		}
	}
	for _, to := range s.ReplyTo {
		if Site(to) != site && len(out) > 0 { // lists and helpdesks do it too: alone it says nothing
			out = append(out, Reason{ReasonReplyTo, domain, to})
			break
		}
	}
	if r.Forms > 0 {
		out = append(out, Reason{Code: ReasonForm})
	}
	return out
}

// Site is the part of a host name that one owner has: example.co.uk.
func Site(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}

// claimedBy returns whom a display name pretends to be; site is where it is from.
func claimedBy(name, site string) string {
	low := strings.ToLower(name)
	if _, domain, ok := strings.Cut(low, "@"); ok { // an address as name
		domain = strings.Trim(firstWord(domain), `"'<>()[]., `)
		if strings.Contains(domain, ".") && Site(domain) != site {
			return domain
		}
	}
	for _, word := range strings.FieldsFunc(skeleton(low), func(r rune) bool { return !('a' <= r && r <= 'z') }) {
		domains, known := brands[word]
		if !known {
			continue
		}
		if !isOneOf(site, domains) && !strings.HasPrefix(site, word+".") {
			return domains[0]
		}
	}
	return ""
}

func isOneOf(site string, domains []string) bool {
	for _, d := range domains {
		if site == d {
			return true
		}
	}
	return false
}

// confusable are characters that look like another, after UTS 39; what mail is
// imitated with.
var confusable = strings.NewReplacer("0", "o", "1", "l", "3", "e", "5", "s", "$", "s", "а", "a", "е", "e", "о", "o", "р", "p", "с", "c", "х", "x", "у", "y",
	"і", "i", "ј", "j", "ѕ", "s", "ԁ", "d", "ɡ", "g", "ո", "n", "ⅼ", "l", "ο", "o", "α", "a", "ν", "v", "rn", "m", "vv", "w", "é", "e", "á", "a", "í", "i", "ı", "i")

func skeleton(s string) string { return confusable.Replace(strings.ToLower(s)) }

// lookalike returns the known domain that site imitates.
func lookalike(site string, own []string) string {
	text := site
	if u, err := idna.ToUnicode(site); err == nil {
		text = u
	}
	mine, _, _ := strings.Cut(text, ".")
	sk := skeleton(mine)
	for _, o := range own {
		if o = Site(o); o == site {
			return ""
		}
	}
	for _, o := range own {
		if label, _, _ := strings.Cut(Site(o), "."); len(label) > 3 && (sk == skeleton(label) || editedOnce(mine, label)) && site != Site(o) {
			return Site(o)
		}
	}
	for brand, domains := range brands {
		if len(brand) > 4 && !isOneOf(site, domains) && mine != brand && (sk == skeleton(brand) || strings.Contains(sk, brand) && !strings.Contains(mine, brand)) {
			return domains[0]
		}
	}
	return ""
}

// editedOnce reports whether one letter makes b of a.
func editedOnce(a, b string) bool {
	if len(a) < 5 || a == b || len(a)-len(b) > 1 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	j := 0
	for j < len(a)-i && j < len(b)-i && a[len(a)-1-j] == b[len(b)-1-j] {
		j++
	}
	return max(len(a), len(b))-i-j <= 1
}

// misleading reports whether a link shows another host than it leads to.
func misleading(l Link) (Reason, bool) {
	to, err := url.Parse(l.Target)
	if err != nil || to.Host == "" {
		return Reason{}, false
	}
	host := to.Hostname()
	shown := hostIn(l.Text)
	_, notIP := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case shown != "" && Site(shown) != Site(host):
		return Reason{ReasonLink, shown, host}, true
	case notIP == nil && shown == "" && l.Text != "" && !strings.Contains(l.Text, host):
		return Reason{ReasonAddress, "", host}, true
	}
	return Reason{}, false
}

// hostIn returns the host that a link's text names as an address, "" if it does not.
func hostIn(text string) string {
	text = strings.TrimSpace(text)
	low := strings.ToLower(text)
	if strings.ContainsAny(text, " \n@") || !strings.HasPrefix(low, "http") && !strings.HasPrefix(low, "www.") {
		return ""
	}
	if !strings.Contains(low, "://") {
		low = "http://" + low
	}
	u, err := url.Parse(low)
	if err != nil || !strings.Contains(u.Hostname(), ".") {
		return ""
	}
	return u.Hostname()
}
