package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// check finds what is wrong with values that have the right type.
func (p *parse) check() {
	c := p.config
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "auto", "human", "json")
	if strings.ContainsAny(c.Hostname, " \t\r\n@/:") {
		p.problem("hostname", "%q is not a host name, as mail.example.org", c.Hostname)
	}
	if c.Data == "" {
		p.problem("data", "is empty; allowed: the path of a directory")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		p.problem("tls", "cert and key belong together: give both or none")
	}
	for _, name := range c.TLS.ALPN {
		p.oneOf("tls.alpn", name, "imap", "submission")
	}
	p.oneOf("smtp.over_quota", c.SMTP.OverQuota, "defer", "refuse")
	p.oneOf("smtp.sender_checks", c.SMTP.SenderChecks, "enforce", "mark", "off")
	for _, d := range c.SMTP.TrustedForwarders {
		if !strings.Contains(d, ".") || strings.ContainsAny(d, " \t\r\n@/:*") {
			p.problem("smtp.trusted_forwarders", "%q is not a domain name, as lists.example.org", d)
		}
	}
	for key, list := range map[string][]string{"smtp.xclient_hosts": c.SMTP.XClientHosts, "smtp.proxy_hosts": c.SMTP.ProxyHosts} {
		for _, s := range list {
			if _, err := ParseNetwork(s); err != nil {
				p.problem(key, "%q is not an address or a network, as 192.0.2.1 or 10.0.0.0/8", s)
			}
		}
	}
	for _, s := range c.SMTP.Hooks {
		if _, err := ParseHook(s); err != nil {
			p.problem("smtp.hooks", "%q: %v", s, err)
		}
	}
	if f := c.Reports.From; f != "" && (strings.Count(f, "@") != 1 || strings.HasPrefix(f, "@") || strings.HasSuffix(f, "@") || strings.ContainsAny(f, " \t\r\n<>")) {
		p.problem("reports.from", "%q is not an address, as reports@example.org", f)
	}
	for zone, weight := range c.SMTP.Lists {
		if _, err := ParseList(weight); err != nil || !strings.Contains(zone, ".") {
			p.problem("smtp.lists", "%q = %q is not a zone and its weight, as \"zen.spamhaus.org\" = \"10\"", zone, weight)
		}
	}
	if n := c.Limits.FreeDiskPercent; n > 90 {
		p.problem("limits.free_disk_percent", "%s %% would take nearly no mail; allowed: up to 90, or \"off\"", n)
	}
	if n := c.Limits.IMAPMessages; n != Off && n < 1000 {
		p.problem("limits.imap_messages", "%s is too few; allowed: 1000 and more, or \"off\"", n)
	}
	if e := c.S3.Endpoint; e != "" && !strings.HasPrefix(e, "https://") && !strings.HasPrefix(e, "http://") {
		p.problem("s3.endpoint", "%q is no URL, as https://s3.eu-central-1.amazonaws.com", e)
	}
	for _, place := range append([]string{c.Backup.Standby}, c.Backup.Repair...) {
		if strings.HasPrefix(place, "s3://") && c.S3.Endpoint == "" {
			p.problem("s3.endpoint", "is needed for %s", place)
		}
	}
	if c.Backup.Wait && c.Backup.Standby == "" {
		p.problem("backup.wait", "needs backup.standby")
	}
	p.checkLogin()
	p.checkListen()
	p.checkQueue()
	for _, s := range c.DNS.Servers {
		if _, err := ParseServer(s); err != nil {
			p.problem("dns.servers", "%q is not an address or address:port, as 127.0.0.1:53", s)
		}
	}
	if mode, err := strconv.ParseUint(c.SMTP.LMTPMode, 8, 32); err != nil || mode < 0o600 || mode > 0o777 {
		p.problem("smtp.lmtp_socket_mode", "%q is not allowed; allowed: 0600 to 0777", c.SMTP.LMTPMode)
	}
	if c.Run.Group != "" && c.Run.User == "" {
		p.problem("run.group", "needs run.user")
	}
}

func (p *parse) oneOf(key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	hint := ""
	if n := nearest(value, allowed); n != "" {
		hint = fmt.Sprintf(". Did you mean %q?", n)
	}
	p.problem(key, "%q is not allowed; allowed: %s%s", value, strings.Join(allowed, ", "), hint)
}

func (p *parse) checkLogin() {
	c := p.config
	if n := c.Login.SCRAMIterations.Int(); n < 4096 || n > 5_000_000 {
		p.problem("login.scram_iterations", "%d is not allowed; allowed: 4096 to 5000000", n)
	}
	if c.Login.CA != "" && !c.Login.Certificates {
		p.problem("login.client_ca", "needs client_certificates = true")
	}
	o := c.OAuth
	for key, u := range map[string]string{"oauth.issuer": o.Issuer, "oauth.keys": o.Keys, "oauth.introspection": o.Introspection} {
		parsed, err := url.Parse(u)
		switch {
		case u == "":
		case err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http":
			p.problem(key, "%q is not a URL, as https://id.example.org", u)
		case parsed.Scheme == "http" && !o.Private:
			p.problem(key, "%q is without TLS: needs allow_private = true", u)
		}
	}
	switch {
	case o.Issuer == "" && (o.Keys != "" || o.Introspection != ""):
		p.problem("oauth.issuer", "is empty: say who gives tokens out")
	case o.Issuer != "" && (o.Keys == "") == (o.Introspection == ""):
		p.problem("oauth.issuer", "needs one of keys and introspection")
	case o.Issuer != "" && o.Audience == "":
		p.problem("oauth.audience", "is empty: tokens for any other service would be taken")
	case o.Issuer != "" && o.Claim == "":
		p.problem("oauth.claim", "is empty; allowed: the name of a claim, as email")
	}
	if (o.ClientID == "") != (o.SecretFile == "") {
		p.problem("oauth.client_id", "and client_secret_file belong together: give both or none")
	}
}

func (p *parse) checkListen() {
	seen := map[string]string{}
	for _, f := range p.config.Listen.Faces() {
		for _, a := range f.Addrs {
			key := "listen." + f.Name
			if f.Name == "lmtp" && IsSocket(a) {
				continue
			}
			if err := checkHostPort(a, true); err != nil {
				p.problem(key, "%q is not host:port (%v), as \"127.0.0.1:25\" or \":25\"", a, err)
				continue
			}
			if other, taken := seen[a]; taken && !strings.HasSuffix(a, ":0") {
				p.problem(key, "%s is taken by %s already", a, other)
			}
			seen[a] = key
		}
	}
}

func (p *parse) checkQueue() {
	q := p.config.Queue
	if len(q.Retry) == 0 {
		p.problem("queue.retry", "is empty; allowed: at least one time")
	}
	for key, d := range map[string]Duration{"queue.expire": q.Expire, "queue.delay_notice": q.DelayNotice} {
		if d == Off && key == "queue.expire" {
			p.problem(key, "cannot be switched off: mail would wait for ever")
		}
	}
	for name, text := range q.Providers {
		if _, err := ParseProvider(text); err != nil || !strings.Contains(name, ".") {
			p.problem("queue.providers", "%q = %q: %v; as \"google.com\" = \"connections=10 rest=30s\"", name, text, err)
		}
	}
	if q.Smarthost != "" {
		if err := checkHostPort(q.Smarthost, false); err != nil {
			p.problem("queue.smarthost", "%q is not host:port (%v), as \"relay.example.net:587\"", q.Smarthost, err)
		}
	}
	p.oneOf("queue.smarthost_tls", q.SmarthostTLS, "verified", "implicit", "opportunistic", "none")
	if q.SmarthostLogin != "" && q.SmarthostTLS != "verified" && q.SmarthostTLS != "implicit" {
		p.problem("queue.smarthost_login", "needs smarthost_tls = \"verified\" or \"implicit\": the password would cross the network in clear, or go to anybody")
	}
	if (q.SmarthostLogin == "") != (q.SmarthostPasswordFile == "") {
		p.problem("queue.smarthost_login", "and smarthost_password_file belong together: give both or none")
	}
	p.oneOf("queue.tls_policies", q.TLSPolicies, "follow", "ignore")
	for _, a := range q.SourceAddresses {
		if _, err := netip.ParseAddr(a); err != nil {
			p.problem("queue.source_addresses", "%q is not an address, as 192.0.2.1", a)
		}
	}
	for dom, to := range q.Routes {
		if strings.ContainsAny(dom, " @/[") || dom == "" {
			p.problem("queue.routes."+dom, "%q is not a domain name, as example.net or *.example.net", dom)
		}
		if _, err := ParseRoute(to); err != nil {
			p.problem("queue.routes."+dom, "%q is no route (%v), as \"relay.example.net:25\" or \"smtps://login@relay.example.net:465?password_file=/etc/posthouse/relay\"", to, err)
		}
	}
}

// checkHostPort checks "host:port"; listening allows an empty host and port 0.
func checkHostPort(s string, listening bool) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("the port is missing")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no port number", port)
	case !listening && (host == "" || n == 0):
		return fmt.Errorf("host or port is missing")
	case strings.ContainsAny(host, " /@"):
		return fmt.Errorf("%q is no host", host)
	}
	return nil
}

// A Face is one key of [listen].
type Face struct {
	Name  string
	Addrs []string
}

// Faces returns the keys of [listen] in order.
func (l Listen) Faces() []Face {
	return []Face{
		{"mx", l.MX}, {"submission", l.Submission}, {"submissions", l.Submissions}, {"lmtp", l.LMTP},
		{"imap", l.IMAP}, {"imaps", l.IMAPS}, {"http", l.HTTP}, {"https", l.HTTPS},
	}
}

// IsSocket reports whether an address of [listen] is the path of a unix socket.
func IsSocket(addr string) bool { return strings.ContainsRune(addr, '/') }

// ParseServer reads an entry of dns.servers; the port is 53 if it has none.
func ParseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	return netip.ParseAddrPort(s)
}

// LMTPSocketMode is smtp.lmtp_socket_mode as a number.
func (s SMTP) LMTPSocketMode() uint32 {
	n, err := strconv.ParseUint(s.LMTPMode, 8, 32)
	if err != nil {
		return 0o660 // Parse has refused it
	}
	return uint32(n)
}
