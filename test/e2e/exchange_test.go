package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthouse/internal/peers"
	"posthouse/tlspolicy/dane"
)

// An exchange is the world of TestExchange: all zones are signed, and Unbound validates
// them; a.test and pf.test publish TLSA records, b.test and ex.test MTA-STS policies in
// mode enforce.
type exchange struct {
	*lab
	dir  string
	ca   *paper
	sts  map[string]string // MX that the policy of a domain names
	rigs map[string]*rig
}

var exchangeHosts = []string{"a", "b", "pf", "ex"}

func (x *exchange) addr(host string) string {
	for i, h := range exchangeHosts {
		if h == host {
			return fmt.Sprintf("%s%d", x.net, 10+i)
		}
	}
	return x.net + "1"
}

// TestExchange has two Posthouses, a Postfix and an Exim, each a host of its own,
// exchange mail in all directions. What goes to a domain that demands something of TLS
// does so by it, and what cannot be fulfilled waits or comes back.
func TestExchange(t *testing.T) {
	if err := peers.HasPostfix(); err != nil {
		t.Skip(err)
	}
	programs := signingPrograms(t)
	dir, err := os.MkdirTemp("", "phx") // short: Postfix makes sockets below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	x := &exchange{lab: newLab(t, exchangeHosts...), dir: dir, rigs: map[string]*rig{}, sts: map[string]string{}}
	x.ca = newPaper(t, dir, "ca", nil)
	papers := map[string]*paper{}
	for _, h := range exchangeHosts {
		papers[h] = newPaper(t, dir, "mx."+h+".test", x.ca)
	}
	zones, anchors := x.zones(papers), ""
	for i := range zones {
		anchors += x.sign(t, programs, &zones[i], "")
	}
	x.unbound(t, programs["unbound"], zones, anchors)
	x.servePolicies(t)
	for _, h := range []string{"a", "b"} {
		x.posthouse(t, h, papers[h])
	}
	pfDir := filepath.Join(dir, "pf")
	if err := os.Mkdir(pfDir, 0o755); err != nil {
		t.Fatal(err)
	}
	pf, err := peers.LaunchPostfix(pfDir, peers.PostfixOptions{Domain: "pf.test", Users: []string{"ada"}, Netns: x.names["pf"], Addr: x.addr("pf"), Extra: fmt.Sprintf(
		"mynetworks = 127.0.0.0/8 %s1/32\nsmtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\nsmtp_tls_loglevel = 1\nsmtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\n",
		x.net, papers["pf"].cert, papers["pf"].key)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pf.Stop(); err != nil {
			t.Errorf("postfix: %v", err)
		}
	})
	hosts := []string{"a", "b", "pf"}
	if x.exim(t, papers["ex"]) {
		hosts = append(hosts, "ex")
	}
	for _, from := range hosts {
		for _, to := range hosts {
			if from != to {
				x.send(t, from, to, "")
			}
		}
	}
	n := len(hosts) - 1
	for _, h := range []string{"a", "b"} {
		waitFor(t, x.imap(t, h), "INBOX", "ALL", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := pf.Mail(ctx, "ada", n); err != nil {
		t.Fatal(err)
	}
	x.judge(t, pf, hosts)
	x.failures(t)
}

// judge looks in the logs by what policy mail went. A line may come after the mail.
func (x *exchange) judge(t *testing.T, pf *peers.Postfix, hosts []string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // polling, bounded
		lacking := x.lacking(pf, hosts)
		if lacking == "" {
			return
		}
		if time.Now().After(end) {
			t.Error(lacking)
			return
		}
	}
}

// lacking is what the logs do not say yet.
func (x *exchange) lacking(pf *peers.Postfix, hosts []string) string {
	log, _ := os.ReadFile(pf.Log)
	if !bytes.Contains(log, []byte("Verified TLS connection established to mx.a.test")) {
		return "postfix did not verify mx.a.test by DANE:\n" + string(log)
	}
	want := map[string][]string{"a": {`"to":"ada@b.test","remote":"mx.b.test`, `"policy":"sts"`, `"to":"ada@pf.test","remote":"mx.pf.test`, `"policy":"dane"`},
		"b": {`"to":"ada@a.test","remote":"mx.a.test`, `"policy":"dane"`}}
	for h, parts := range want {
		text := x.rigs[h].wholeLog()
		for i := 0; i < len(parts); i += 2 {
			found := false
			for line := range strings.SplitSeq(text, "\n") {
				found = found || strings.Contains(line, parts[i]) && strings.Contains(line, parts[i+1]) && strings.Contains(line, `"tls":true`) && strings.Contains(line, `"delivered":1`)
			}
			if !found {
				return h + ": no " + parts[i] + " with " + parts[i+1]
			}
		}
	}
	if len(hosts) == 4 {
		log, _ := os.ReadFile(filepath.Join(x.dir, "ex/main.log"))
		if !bytes.Contains(log, []byte("H=mx.a.test")) || !bytes.Contains(log, []byte("CV=dane")) {
			return "exim did not verify mx.a.test by DANE:\n" + string(log)
		}
	}
	return ""
}

// failures: REQUIRETLS that goes and that comes back; a TLSA record of another key and a
// policy for another host, which keep mail waiting.
func (x *exchange) failures(t *testing.T) {
	a := x.imap(t, "a")
	x.send(t, "a", "b", " REQUIRETLS")
	waitFor(t, x.imap(t, "b"), "INBOX", `SUBJECT "requiretls"`, 1)
	x.send(t, "a", "pf", " REQUIRETLS")
	waitFor(t, a, "INBOX", `SUBJECT "Undelivered"`, 1)

	x.submit(t, "a", "ada@bad.pf.test", "")
	x.submit(t, "a", "ada@other.test", "")
	r := x.rigs["a"]
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // polling, bounded
		list := r.run(t, "", "queue", "list", "--json")
		if strings.Contains(list, "451 4.7.5 no secure connection with mx2.pf.test") && strings.Contains(list, "451 4.7.5 the MTA-STS policy of other.test does not allow") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the queue:\n%s", list)
		}
	}
}

// zones are the DNS of the lab: also bad.pf.test, whose TLSA record is of another key, and
// other.test, whose policy is for another host.
func (x *exchange) zones(papers map[string]*paper) []signedZone {
	var list []signedZone
	sts := func(domain, mx string) string {
		x.sts[domain] = mx
		return "_mta-sts IN TXT \"v=STSv1; id=1\"\nmta-sts IN A " + x.net + "1\n"
	}
	for _, h := range exchangeHosts {
		text := "@ IN MX 10 mx\nmx IN A " + x.addr(h) + "\n"
		if h == "a" || h == "pf" {
			text += "_25._tcp.mx IN TLSA " + dane.String(dane.RecordOf(papers[h].pair.Leaf)) + "\n"
		} else {
			text += sts(h+".test", "mx."+h+".test")
		}
		if h == "pf" {
			text += "bad IN MX 10 mx2\nmx2 IN A " + x.addr(h) + "\n_25._tcp.mx2 IN TLSA " + otherKey + "\n"
		}
		list = append(list, signedZone{name: h + ".test", signed: true, text: text})
	}
	return append(list, signedZone{name: "other.test", signed: true, text: "@ IN MX 10 mx.b.test.\n" + sts("other.test", "mx.elsewhere.test")})
}

// servePolicies is the policy host of all domains.
func (x *exchange) servePolicies(t *testing.T) {
	p := newPaper(t, x.dir, "mta-sts.b.test", x.ca)
	q, r := newPaper(t, x.dir, "mta-sts.ex.test", x.ca), newPaper(t, x.dir, "mta-sts.other.test", x.ca)
	l, err := tls.Listen("tcp", x.net+"1:443", &tls.Config{Certificates: []tls.Certificate{p.pair, q.pair, r.pair}})
	if err != nil {
		t.Skip(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		domain := strings.TrimPrefix(r.Host, "mta-sts.")
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "version: STSv1\nmode: enforce\nmx: %s\nmax_age: 86400\n", x.sts[domain])
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
}

// posthouse starts one in its host.
func (x *exchange) posthouse(t *testing.T, h string, p *paper) {
	r := &rig{dir: filepath.Join(x.dir, h), domain: h + ".test", password: "secret", imap: x.addr(h) + ":143", mx: x.addr(h) + ":25", submission: x.addr(h) + ":587"}
	r.log = filepath.Join(r.dir, "log")
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.config = writeFile(t, filepath.Join(r.dir, "posthouse.toml"), `
hostname = "mx.%[1]s.test"
data = "%[2]s/data"
allow_plaintext_login = true
[tls]
cert = "%[3]s"
key = "%[4]s"
[listen]
mx = ["%[5]s:25"]
submission = ["%[5]s:587"]
submissions = ["%[5]s:465"]
imap = ["%[5]s:143"]
imaps = []
http = []
[log]
format = "json"
[dns]
servers = ["%[6]s1:53"]
trust_ad = true
[smtp]
sender_checks = "mark"
[queue]
private_addresses = true
retry = ["1s"]
`, h, r.dir, p.cert, p.key, x.addr(h), x.net)
	r.run(t, "", "domain", "add", r.domain)
	r.addAccount(t, "ada@"+r.domain)
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = x.exec(h, binary, "serve", "--config", r.config)
	r.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+x.ca.cert)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s said:\n%s", h, r.tailLog())
		}
	})
	for end := time.Now().Add(patience); !r.greets(); time.Sleep(10 * time.Millisecond) { // polling, bounded
		if time.Now().After(end) {
			t.Fatalf("%s does not greet:\n%s", h, r.tailLog())
		}
	}
	x.rigs[h] = r
}

func (r *rig) wholeLog() string {
	b, _ := os.ReadFile(r.log)
	return string(b)
}

func (x *exchange) imap(t *testing.T, h string) *imapConn {
	t.Helper()
	return mustIMAP(t, x.rigs[h].imap, "ada@"+h+".test", "secret")
}

// send hands a message from one host's ada to another's in.
func (x *exchange) send(t *testing.T, from, to, params string) {
	t.Helper()
	if x.rigs[from] != nil {
		x.submit(t, from, "ada@"+to+".test", params)
		return
	}
	c, err := dialSMTP(x.addr(from) + ":25")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.transaction(t, "ada@"+from+".test", "ada@"+to+".test", "")
}

// submit hands a message in over TLS.
func (x *exchange) submit(t *testing.T, from, to, params string) {
	t.Helper()
	conn, err := tls.Dial("tcp", x.addr(from)+":465", &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &smtpConn{conn, bufio.NewReader(conn)}
	for _, step := range [][2]string{{"220", ""}, {"250", "EHLO client.test"}, {"235", "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00ada@"+from+".test\x00secret"))}} {
		if step[1] == "" {
			_, err = c.reply(step[0])
		} else {
			_, err = c.cmd(step[0], "%s", step[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.transaction(t, "ada@"+from+".test", to, params)
}

func (c *smtpConn) transaction(t *testing.T, from, to, params string) {
	t.Helper()
	for _, step := range [][2]string{{"250", "MAIL FROM:<" + from + ">" + params}, {"250", "RCPT TO:<" + to + ">"}, {"354", "DATA"},
		{"250", "From: " + from + "\r\nTo: " + to + "\r\nSubject: hello" + strings.ToLower(params) + "\r\n\r\nbody\r\n."}} {
		if _, err := c.cmd(step[0], "%s", step[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// eximPaths are where an Exim may be: Debian's package cannot stand beside Postfix's,
// so test/install.sh unpacks it.
var eximPaths = []string{"/usr/sbin/exim4", "/opt/posthouse-peers/usr/sbin/exim4"}

// eximConf wants the path of Exim, its directory, its address, its certificate.
const eximConf = `primary_hostname = mx.ex.test
domainlist local_domains = ex.test
exim_path = %[1]s
spool_directory = %[2]s/spool
log_file_path = %[2]s/%%s.log
local_interfaces = %[3]s
daemon_smtp_ports = 25
tls_advertise_hosts = *
tls_certificate = %[4]s
tls_privatekey = %[2]s/key
dns_dnssec_ok = 1
never_users =
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept
begin routers
home:
  driver = accept
  domains = +local_domains
  transport = box
mx:
  driver = dnslookup
  transport = remote
  dnssec_request_domains = *
begin transports
box:
  driver = appendfile
  directory = %[2]s/mail/$local_part_data
  maildir_format
  user = mail
remote:
  driver = smtp
  hosts_try_dane = *
  dnssec_request_domains = *
begin retry
* * F,1h,1s
`

// exim starts an Exim, or says that there is none.
func (x *exchange) exim(t *testing.T, p *paper) bool {
	binary := ""
	for _, path := range eximPaths {
		if _, err := os.Stat(path); err == nil {
			binary = path
		}
	}
	if binary == "" {
		if os.Getenv("POSTHOUSE_NEED_PEERS") == "1" {
			t.Fatal("exim is not installed: run test/install.sh")
		}
		t.Log("without exim, which is not installed")
		return false
	}
	dir := filepath.Join(x.dir, "ex")
	for _, d := range []string{dir, dir + "/spool", dir + "/mail"} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	_ = exec.Command("chown", "-R", "mail:mail", dir).Run()
	for _, f := range []string{"passwd", "group"} { // the user that Debian's Exim is built for
		b, err := os.ReadFile("/etc/" + f)
		if err != nil {
			t.Fatal(err)
		}
		line := "Debian-exim:x:8:8::/var/spool/exim4:/bin/false\n"
		if f == "group" {
			line = "Debian-exim:x:8:\n"
		}
		x.etc(t, "ex", f, string(b)+line)
	}
	// It trusts the file that it was built for only: /etc/exim4, which in this host is ours.
	own := filepath.Join("/etc/netns", x.names["ex"], "exim4")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Mkdir("/etc/exim4", 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove("/etc/exim4") })
	}
	conf := writeFile(t, filepath.Join(own, "exim4.conf"), eximConf, binary, dir, x.addr("ex"), p.cert)
	for _, path := range []string{conf, p.cert} { // its own user reads them too
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(p.key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/key", "%s", string(b))
	_ = exec.Command("chown", "-R", "mail:mail", dir).Run()
	cmd := x.exec("ex", binary, "-bdf", "-q1s")
	out, err := os.Create(filepath.Join(x.dir, "exim.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	said := func() string {
		b, _ := os.ReadFile(out.Name())
		return string(b)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/main.log")
			t.Logf("exim said:\n%s\n%s", said(), log)
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		if c, err := net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr(x.addr("ex")), 25).String(), time.Second); err == nil {
			_ = c.Close()
			return true
		}
		if time.Now().After(end) {
			t.Logf("without exim, which does not start here:\n%s", said())
			return false
		}
	}
}
