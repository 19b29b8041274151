package trust

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// imitations are the pretences in a message's header, worst first.
func imitations(s Sender, verified bool) []Reason {
	var out []Reason
	domain := strings.ToLower(s.Domain)
	site := Site(domain)
	warn := func(code, shown, real string) {
		out = append(out, Reason{code, Warning, shown, real})
	}
	if claimed := claimedBy(s.Name, site); claimed != "" {
		warn(ReasonName, claimed, domain)
	} else if s.Known.SameAs != "" && !s.Known.Contact && !s.Known.Self {
		warn(ReasonName, s.Known.SameAs, domain)
	}
	if like := lookalike(site, s.Own, s.Known.Domains); like != "" {
		warn(ReasonLookalike, like, domain)
	}
	if s.Known.First && !s.Known.Contact && s.List == "" && asksForMoney(s.Text) && !verified {
		warn(ReasonMoney, "", "")
	}
	for _, to := range s.ReplyTo {
		if Site(to) == site {
			continue
		}
		if len(out) > 0 {
			warn(ReasonReplyTo, domain, to)
		} else if s.List == "" { // lists and helpdesks do it too: alone it says little
			out = append(out, Reason{ReasonReplyTo, Note, domain, to})
			return out
		}
		break
	}
	return out
}

// moneyWords are what those speak of who want money or passwords, in the languages of
// the client; whole words, or beginnings that end in "*".
var moneyWords = []string{"password*", "passwort*", "gift card*", "wire transfer", "bank transfer", "bank account", "bitcoin*", "invoice", "urgent payment", "iban",
	"geschenkkarte*", "überweis*", "rechnung", "konto gesperrt", "kontosperr*", "mot de passe", "virement", "carte cadeau", "contraseña*", "transferencia", "factura",
	"verify your account", "account suspended", "lottery", "inheritance", "パスワード*", "振込*", "كلمة المرور", "تحويل بنكي"}

func asksForMoney(text string) bool {
	low := " " + strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" \t\r\n.,:;!?()\"'", r) }), " ") + " "
	for _, w := range moneyWords {
		if w, begins := strings.CutSuffix(w, "*"); begins && strings.Contains(low, " "+w) || strings.Contains(low, " "+w+" ") {
			return true
		}
	}
	return false
}

// brands are names that are imitated most, with the domains that may bear them.
var brands = map[string][]string{
	"paypal": {"paypal.com", "paypal.de", "paypal.me"}, "microsoft": {"microsoft.com", "office.com", "live.com", "outlook.com"}, "apple": {"apple.com", "icloud.com"},
	"google": {"google.com", "youtube.com", "gmail.com"}, "amazon": {"amazon.com", "amazon.de", "amazon.co.uk", "amazon.fr", "amazonaws.com"}, "netflix": {"netflix.com"},
	"dhl": {"dhl.com", "dhl.de"}, "fedex": {"fedex.com"}, "docusign": {"docusign.com", "docusign.net"}, "facebook": {"facebook.com", "facebookmail.com"},
	"linkedin": {"linkedin.com"}, "instagram": {"instagram.com"}, "whatsapp": {"whatsapp.com"}, "dropbox": {"dropbox.com"}, "adobe": {"adobe.com"},
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

// providers are domains of many people, whose names are near each other.
var providers = map[string]bool{"gmail.com": true, "mail.com": true, "email.com": true, "ymail.com": true, "hotmail.com": true, "gmx.com": true, "gmx.net": true, "gmx.de": true, "live.com": true, "fastmail.com": true}

// lookalike returns the domain, of the reader or one that the reader knows, that site imitates.
func lookalike(site string, own, known []string) string {
	text := site
	if u, err := idna.ToUnicode(site); err == nil {
		text = u
	}
	mine, _, _ := strings.Cut(text, ".")
	sk := skeleton(mine)
	for _, o := range slices.Concat(own, known) {
		if Site(o) == site {
			return ""
		}
	}
	for i, o := range slices.Concat(own, known) {
		label, _, _ := strings.Cut(Site(o), ".")
		if i >= len(own) && (mine == label || providers[site]) { // others have one name in many countries
			continue
		}
		if len(label) > 3 && (sk == skeleton(label) || editedOnce(mine, label)) {
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
		return Reason{ReasonLink, Warning, shown, host}, true
	case notIP == nil && shown == "" && l.Text != "" && !strings.Contains(l.Text, host):
		return Reason{ReasonAddress, Warning, "", host}, true
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
