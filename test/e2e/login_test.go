package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A paper is a certificate with its key, in files and in memory.
type paper struct {
	cert, key string // paths, PEM
	pair      tls.Certificate
}

// newPaper makes a certificate for a server on loopback or for a person, signed by
// another or by itself.
func newPaper(t testing.TB, dir, name string, by *paper, emails ...string) *paper {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost", name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, EmailAddresses: emails,
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	signer, signKey := template, any(key)
	if by != nil {
		signer, signKey = by.pair.Leaf, by.pair.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &paper{cert: filepath.Join(dir, name+".pem"), key: filepath.Join(dir, name+".key")}
	writeFile(t, p.cert, "%s", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeFile(t, p.key, "%s", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if p.pair, err = tls.LoadX509KeyPair(p.cert, p.key); err != nil {
		t.Fatal(err)
	}
	return p
}

// A loginRig is a server with a certificate that clients verify, that takes client
// certificates of its own CA.
type loginRig struct {
	*rig
	server, ca *paper
}

func newLoginRig(t *testing.T) *loginRig {
	t.Helper()
	dir := t.TempDir()
	l := &loginRig{server: newPaper(t, dir, "localhost", nil), ca: newPaper(t, dir, "ca", nil)}
	l.rig = newRig(t, rigOptions{tls: true, more: fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n[login]\nclient_certificates = true\nclient_ca = %q\n", l.server.cert, l.server.key, l.ca.cert)})
	l.addAccount(t, "ada@home.test")
	l.addAccount(t, "ben@home.test")
	l.start(t)
	return l
}

// TestScramClients: libgsasl logs in by every mechanism that it knows, bound to TLS and
// not, over IMAP and SMTP; mbsync (Cyrus SASL) and msmtp do by SCRAM.
func TestScramClients(t *testing.T) {
	l := newLoginRig(t)
	for _, port := range []string{l.imap, l.submission} {
		protocol := "--imap"
		if port == l.submission {
			protocol = "--smtp"
		}
		host, p := l.hostPort(port)
		for _, mech := range []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"} {
			args := []string{"10", "gsasl", protocol, "--starttls", "--no-client-first", "--x509-ca-file=" + l.server.cert, "--mechanism=" + mech, "--authentication-id=ada@home.test", "--authorization-id=",
				"--password=" + l.password, "--hostname=localhost", "--service=" + protocol[2:], host, p}
			if !strings.HasSuffix(mech, "-PLUS") {
				args = append(args, "--no-cb")
			}
			out := tool(t, t.TempDir(), "timeout", args...)
			if !strings.Contains(out, "Client authentication finished") {
				t.Errorf("%s %s:\n%s", protocol, mech, out)
			}
		}
	}
	dir := t.TempDir()
	host, port := l.hostPort(l.submission)
	rc := writeFile(t, filepath.Join(dir, "msmtprc"), "account default\nhost %s\nport %s\ntls on\ntls_starttls on\ntls_trust_file %s\nauth scram-sha-256\nuser ada@home.test\npassword %s\nfrom ada@home.test\n",
		host, port, l.server.cert, l.password)
	tool(t, dir, "sh", "-c", "printf 'From: ada@home.test\\nSubject: by scram\\n\\nhello\\n' | timeout 20 msmtp -C "+rc+" ben@home.test")
	m := newMbsync(t, l.rig, "ben@home.test")
	b, err := os.ReadFile(m.rc)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "SSLType None\nAuthMechs LOGIN", "SSLType STARTTLS\nCertificateFile "+l.server.cert+"\nAuthMechs SCRAM-SHA-256", 1)
	writeFile(t, m.rc, "%s", strings.Replace(text, "Host 127.0.0.1", "Host localhost", 1))
	m.sync(t)
	if got := readMaildir(t, filepath.Join(m.dir, "mail", "INBOX")); len(got) != 1 {
		t.Errorf("mbsync brought %d messages", len(got))
	}
}

// TestClientCertificates: a certificate of the CA, and one whose key was added, log in to
// their accounts and to no others; and a key that was taken away ends its session.
func TestClientCertificates(t *testing.T) {
	l := newLoginRig(t)
	dir := t.TempDir()
	ada, own := newPaper(t, dir, "ada", l.ca, "ada@home.test"), newPaper(t, dir, "own", nil)
	l.run(t, "", "account", "add-key", "ben@home.test", "--certificate", own.cert, "--label", "laptop")
	for _, tt := range []struct {
		paper   *paper
		as      string
		ok, any bool // any: EXTERNAL is announced
	}{
		{ada, "", true, true}, {ada, "ada@home.test", true, true}, {ada, "ben@home.test", false, true},
		{own, "", true, true}, {own, "ben@home.test", true, true}, {own, "ada@home.test", false, true}, {nil, "", false, false},
	} {
		c, greeting := l.secure(t, tt.paper)
		if got := strings.Contains(greeting, "AUTH=EXTERNAL"); got != tt.any {
			t.Errorf("announced: %v: %s", got, greeting)
		}
		as := base64.StdEncoding.EncodeToString([]byte(tt.as))
		if as == "" {
			as = "="
		}
		_, err := c.cmd("AUTHENTICATE EXTERNAL %s", as)
		if (err == nil) != tt.ok {
			t.Errorf("%v as %q: %v", tt.paper, tt.as, err)
		}
	}
	c, _ := l.secure(t, own)
	if _, err := c.cmd("AUTHENTICATE EXTERNAL ="); err != nil {
		t.Fatal(err)
	}
	print := strings.Fields(l.run(t, "", "account", "keys", "ben@home.test", "-q"))
	l.run(t, "", "account", "remove-key", "ben@home.test", print[0][:8])
	if line, err := c.line(); err != nil || !strings.HasPrefix(line, "* BYE") {
		t.Errorf("%q, %v", line, err)
	}
	c, _ = l.secure(t, own)
	if _, err := c.cmd("AUTHENTICATE EXTERNAL ="); err == nil {
		t.Error("the key still works")
	}
}

// secure connects by STARTTLS and shows a certificate, or none. It returns the
// capabilities after TLS.
func (l *loginRig) secure(t *testing.T, p *paper) (*imapConn, string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", l.imap, patience)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	c := newIMAPConn(conn)
	if _, err := c.line(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.cmd("STARTTLS"); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(l.server.pair.Leaf)
	cfg := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if p != nil {
		cfg.Certificates = []tls.Certificate{p.pair}
	}
	c = newIMAPConn(tls.Client(conn, cfg))
	t.Cleanup(func() { c.Close() })
	a, err := c.cmd("CAPABILITY")
	if err != nil {
		t.Fatal(err)
	}
	return c, strings.Join(a.untagged, "\n")
}

// TestALPN: on the https port a client gets IMAP or submission if it asks for it by name,
// with openssl and with Go, and HTTP otherwise.
func TestALPN(t *testing.T) {
	l := newLoginRig(t)
	for _, tt := range []struct{ name, says, want string }{
		{"imap", "a LOGIN ada@home.test " + l.password + "\r\nb LOGOUT\r\n", "a OK"},
		{"submission", "EHLO client.test\r\nAUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00ada@home.test\x00"+l.password)) + "\r\nQUIT\r\n", "235 2.7.0"},
		{"smtp", "QUIT\r\n", "220 mx.home.test ESMTP"},
		{"http/1.1", "GET /.well-known/jmap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 "},
		{"", "GET /.well-known/jmap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 "},
	} {
		cfg := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		cfg.RootCAs.AddCert(l.server.pair.Leaf)
		if tt.name != "" {
			cfg.NextProtos = []string{tt.name}
		}
		c, err := tls.Dial("tcp", l.https, cfg)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, tt.says)
		b, err := io.ReadAll(c)
		c.Close()
		if !strings.Contains(string(b), tt.want) || c.ConnectionState().NegotiatedProtocol != tt.name {
			t.Errorf("%s: %q, %v", tt.name, b, err)
		}
		if tt.name == "" {
			continue
		}
		says := writeFile(t, filepath.Join(t.TempDir(), "says"), "%s", tt.says)
		out := tool(t, t.TempDir(), "sh", "-c", fmt.Sprintf("timeout 20 openssl s_client -connect %s -alpn %s -CAfile %s -servername localhost -quiet -ign_eof <%s 2>/dev/null", l.https, tt.name, l.server.cert, says))
		if !strings.Contains(out, tt.want) {
			t.Errorf("openssl, %s: %q", tt.name, out)
		}
	}
}

// TestSessionsEnd: a new password ends what was opened with the old one, over IMAP and
// over submission.
func TestSessionsEnd(t *testing.T) {
	l := newLoginRig(t)
	im, err := dialIMAP(l.imap, "ada@home.test", l.password)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	sm, err := dialSMTP(l.submission)
	if err != nil {
		t.Fatal(err)
	}
	defer sm.Close()
	if _, err := sm.cmd("235", "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00ada@home.test\x00"+l.password))); err != nil {
		t.Fatal(err)
	}
	l.run(t, "another\n", "account", "set", "ada@home.test", "--password-stdin")
	if line, err := im.line(); err != nil || !strings.HasPrefix(line, "* BYE [EXPIRED]") {
		t.Errorf("IMAP: %q, %v", line, err)
	}
	if line, err := sm.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "421 4.7.0") {
		t.Errorf("SMTP: %q, %v", line, err)
	}
	if _, err := dialIMAP(l.imap, "ada@home.test", "another"); err != nil {
		t.Error(err)
	}
}
