package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
)

// PostfixOptions say what a Postfix is for.
type PostfixOptions struct {
	Domain string            // its own domain, "pf.test" if empty; its name is mx. and that
	Users  []string          // local parts that exist there; each has a Maildir
	Routes map[string]string // mail for a domain goes to "127.0.0.1:port", without MX
	LMTP   string            // not Maildirs but this LMTP server, "127.0.0.1:port", gets the mail of anybody there
	Extra  string            // more lines of main.cf
	// Netns is the network namespace to run in, and Addr its address there; it serves
	// port 25 of that.
	Netns, Addr string
}

// A Postfix is a running Postfix of its own: configuration, queue and mail in one
// directory, on loopback. It relays for loopback. Its master must be started by
// root.
type Postfix struct {
	SMTP string // address, "127.0.0.1:port"
	Port uint16
	Name string // what it calls itself
	Log  string // file
	PID  int    // the master process, whose children do the work

	dir, netns string
}

const postfixBinary = "/usr/sbin/postfix"

// HasPostfix says why a Postfix cannot be started, or nil.
func HasPostfix() error {
	if _, err := os.Stat(postfixBinary); err != nil {
		return errors.New("postfix is not installed")
	}
	if os.Getuid() != 0 {
		return errors.New("only root can start a postfix")
	}
	return nil
}

// StartPostfix starts a Postfix for one test, or skips the test without one.
func StartPostfix(t testing.TB, o PostfixOptions) *Postfix {
	t.Helper()
	if err := HasPostfix(); err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "postfix") // t.TempDir is too long for its sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p, err := LaunchPostfix(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("postfix: %v", err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(p.Log)
			t.Logf("postfix said:\n%s", log)
		}
	})
	return p
}

var postfixMain = template.Must(template.New("main.cf").Parse(`compatibility_level = 3.6
queue_directory = {{.Dir}}/queue
data_directory = {{.Dir}}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {{.Dir}}/log
maillog_file_prefixes = {{.Dir}}
myhostname = mx.{{.Domain}}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtputf8_enable = yes
local_header_rewrite_clients =
virtual_mailbox_domains = {{.Domain}}
virtual_mailbox_base = {{.Dir}}/mail
{{if .LMTP -}}
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:{{.LMTP}}
{{else -}}
virtual_mailbox_maps = texthash:{{.Dir}}/users
{{end -}}
virtual_minimum_uid = 1
virtual_uid_maps = static:{{.UID}}
virtual_gid_maps = static:{{.GID}}
virtual_mailbox_limit = 0
message_size_limit = 104857600
transport_maps = texthash:{{.Dir}}/routes
relay_domains = texthash:{{.Dir}}/routes
relay_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = may
smtpd_tls_cert_file = {{.Dir}}/cert.pem
smtpd_tls_key_file = {{.Dir}}/cert.pem
smtpd_tls_loglevel = 1
smtp_tls_security_level = may
smtp_dns_support_level = disabled
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
alias_maps =
local_recipient_maps =
biff = no
{{.Extra}}
`))

var postfixMaster = template.Must(template.New("master.cf").Parse(`{{.SMTP}} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`))

// LaunchPostfix starts a Postfix in dir, whose path must be short, and returns when
// it answers.
func LaunchPostfix(dir string, o PostfixOptions) (*Postfix, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	if o.Domain == "" {
		o.Domain = "pf.test"
	}
	if o.Netns != "" {
		o.Extra += "\ninet_interfaces = " + o.Addr + "\n"
	}
	p := &Postfix{SMTP: fmt.Sprintf("127.0.0.1:%d", ports[0]), Port: uint16(ports[0]), Name: "mx." + o.Domain,
		Log: filepath.Join(dir, "log"), dir: dir, netns: o.Netns}
	if o.Netns != "" {
		p.SMTP, p.Port = o.Addr+":25", 25
	}
	if err := p.configure(o); err != nil {
		return nil, err
	}
	if out, err := p.command("start"); err != nil {
		log, _ := os.ReadFile(p.Log)
		return nil, fmt.Errorf("postfix start: %w\n%s%s", err, out, log)
	}
	if err := answers(p.SMTP, 30*time.Second); err != nil {
		log, _ := os.ReadFile(p.Log)
		return nil, errors.Join(fmt.Errorf("postfix does not answer: %w\n%s", err, log), p.Stop())
	}
	pid, err := os.ReadFile(filepath.Join(dir, "queue/pid/master.pid"))
	if err == nil {
		p.PID, err = strconv.Atoi(string(bytes.TrimSpace(pid)))
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// PostfixVersion is that of the Postfix installed, "" if there is none.
func PostfixVersion() string {
	out, _ := exec.Command("/usr/sbin/postconf", "-d", "-h", "mail_version").Output()
	return string(bytes.TrimSpace(out))
}

// Drain waits until the queue is empty.
func (p *Postfix) Drain(ctx context.Context) error {
	for {
		n := 0
		for _, q := range []string{"incoming", "active", "deferred"} {
			filepath.WalkDir(filepath.Join(p.dir, "queue", q), func(_ string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					n++
				}
				return nil // files come and go as we look
			})
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still queued: %w", n, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// configure writes all files.
func (p *Postfix) configure(o PostfixOptions) error {
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"queue", "data", "mail"} {
		d = filepath.Join(p.dir, d)
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chown(p.dir+"/data", uid, -1), os.Chown(p.dir+"/mail", 65534, 65534)); err != nil {
		return err
	}
	cert, err := selfSigned(p.Name)
	if err != nil {
		return err
	}
	var users, routes, mainCF, masterCF bytes.Buffer
	for _, u := range o.Users {
		fmt.Fprintf(&users, "%s@%s %s/\n", u, o.Domain, u)
	}
	for domain, to := range o.Routes {
		host, port, _ := strings.Cut(to, ":")
		fmt.Fprintf(&routes, "%s smtp:[%s]:%s\n", domain, host, port)
	}
	v := map[string]any{"Dir": p.dir, "Domain": o.Domain, "SMTP": p.SMTP, "UID": 65534, "GID": 65534, "LMTP": o.LMTP, "Extra": o.Extra}
	if err := errors.Join(postfixMain.Execute(&mainCF, v), postfixMaster.Execute(&masterCF, v)); err != nil {
		return err
	}
	for name, b := range map[string][]byte{"users": users.Bytes(), "routes": routes.Bytes(), "main.cf": lastOfEach(mainCF.String()),
		"master.cf": masterCF.Bytes(), "cert.pem": cert} {
		if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lastOfEach drops the lines of main.cf that a later one replaces. Each program would
// warn of them, postlogd too, which then waits for itself to read the log.
func lastOfEach(conf string) []byte {
	var out []string
	lines := strings.Split(conf, "\n")
	for i, line := range lines {
		key, _, ok := strings.Cut(line, " =")
		again := func(l string) bool { return strings.HasPrefix(l, key+" =") }
		if !ok || !slices.ContainsFunc(lines[i+1:], again) {
			out = append(out, line)
		}
	}
	return []byte(strings.Join(out, "\n"))
}

// selfSigned makes a certificate and its key.
func selfSigned(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...), nil
}

// Mail waits until a user has n messages and returns them, oldest first, as
// Postfix wrote them: with LF and its own header lines in front.
func (p *Postfix) Mail(ctx context.Context, userName string, n int) ([]string, error) {
	dir := filepath.Join(p.dir, "mail", userName, "new")
	for {
		files, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if len(files) >= n {
			return readAll(dir, files)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has %d messages, not %d: %w", userName, len(files), n, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func readAll(dir string, files []os.DirEntry) ([]string, error) {
	type message struct {
		at   time.Time
		text string
	}
	var all []message
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, message{info.ModTime(), string(b)})
	}
	slices.SortFunc(all, func(a, b message) int { return a.at.Compare(b.at) })
	out := make([]string, len(all))
	for i, m := range all {
		out[i] = m.text
	}
	return out, nil
}

// Stop ends all processes.
func (p *Postfix) Stop() error {
	out, err := p.command("stop")
	if err != nil {
		return fmt.Errorf("postfix stop: %w\n%s", err, out)
	}
	return nil
}

// command is an order to this Postfix, given where its addresses are.
func (p *Postfix) command(order string) ([]byte, error) {
	args := []string{postfixBinary, "-c", p.dir, order}
	if p.netns != "" {
		args = append([]string{"ip", "netns", "exec", p.netns}, args...)
	}
	return exec.Command(args[0], args[1:]...).CombinedOutput()
}
