package hook

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
)

// A signer is a key of far.test, in DNS and in a file.
type signer struct {
	dir, file, record string
	key               dkim.SigningKey
	dns               *dnstest.Server
}

// program finds a program of Debian, or skips the test; where peers are needed, it
// fails.
func program(t *testing.T, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("POSTHOUSE_NEED_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	dir, err := os.MkdirTemp("", "hook") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{dir: dir, file: filepath.Join(dir, "key.pem"), key: dkim.SigningKey{Domain: "far.test", Selector: "r", Key: private}}
	if s.record, err = s.key.Record(); err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	s.write(t, "key.pem", string(block))
	s.dns = dnstest.New(t, fmt.Sprintf("r._domainkey.far.test. TXT %q %q\n", s.record[:200], s.record[200:]))
	return s
}

func (s *signer) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a program until the end of the test and waits for its socket.
func (s *signer) start(t *testing.T, socket, path string, args ...string) string {
	t.Helper()
	socket = filepath.Join(s.dir, socket)
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // it is ended by a signal
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it and its children; nothing of it is kept
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", path, log.String())
		}
	})
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		if nc, err := net.Dial("unix", socket); err == nil {
			nc.Close()
			return socket
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", path, log.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen", path)
		}
	}
}

const plainMessage = "From: Eve <eve@far.test>\r\nTo: ada@demo.test\r\nSubject: a message\r\n\twith a long subject\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\nHello,\r\n\r\nthis is  text. \r\n\r\n\r\n"

// verified checks a signature that another program made.
func (s *signer) verified(t *testing.T, header []byte) {
	t.Helper()
	m := dkim.NewMessage(dkim.Limits{}, false)
	_, _ = m.Write(append(header, plainMessage...))
	m.Finish()
	res := m.Verify(t.Context(), dkim.NewKeys(s.dns.Client(t, dns.Options{}), time.Now))
	if len(res) != 1 || res[0].Status != dkim.Pass || res[0].Domain != "far.test" {
		t.Errorf("%+v\n%s", res, header)
	}
}

// signed is a message with a signature of ours.
func (s *signer) signed(t *testing.T) *Message {
	t.Helper()
	m := dkim.NewMessage(dkim.Limits{}, true)
	_, _ = m.Write([]byte(plainMessage))
	m.Finish()
	sig, err := m.AppendSignature(nil, nil, s.key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	msg := example(string(sig) + plainMessage)
	msg.Prefix = nil
	return msg
}

func ask(t *testing.T, h Hook, m *Message) Verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := h.Ask(ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Debian's opendkim as a milter: it signs and we verify, we sign and it verifies.
func TestOpenDKIM(t *testing.T) {
	path := program(t, "/usr/sbin/opendkim")
	s := newSigner(t)
	common := "Syslog no\nAuthservID mx.demo.test\nAlwaysAddARHeader yes\nRequireSafeKeys no\nCanonicalization relaxed/simple\n"
	sign := s.write(t, "sign.conf", common+fmt.Sprintf("Mode s\nSocket local:%s/sign\nDomain far.test\nSelector r\nKeyFile %s\nInternalHosts 192.0.2.1\n", s.dir, s.file))
	m := example(plainMessage)
	m.Prefix, m.Account, m.AuthType = nil, "eve@far.test", "PLAIN"
	m.Params, m.TLS = []string{"SIZE=300", "BODY=8BITMIME"}, &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	m.Refused = []Refusal{{mail.Recipient{Address: mail.Address{Local: "nobody", Domain: "demo.test"}}, mail.Reply{Code: 550, Text: "no"}}}
	v := ask(t, &Milter{Address: s.start(t, "sign", path, "-f", "-x", sign)}, m)
	if v.Action != Pass {
		t.Fatalf("%+v", v)
	}
	s.verified(t, v.Header)

	data := s.write(t, "dns", "r._domainkey.far.test "+s.record+"\n")
	verify := s.write(t, "verify.conf", common+fmt.Sprintf("Mode v\nSocket local:%s/verify\nTestDNSData %s\n", s.dir, data))
	v = ask(t, &Milter{Address: s.start(t, "verify", path, "-f", "-x", verify)}, s.signed(t))
	if v.Action != Pass || !strings.Contains(string(v.Header), "dkim=pass") {
		t.Errorf("%+v\n%s", v, v.Header)
	}

	tidy := s.write(t, "tidy.conf", common+fmt.Sprintf("Mode v\nSocket local:%s/tidy\nRemoveARAll yes\nTestDNSData %s\n", s.dir, data))
	m = example("Authentication-Results: mx.demo.test; dkim=pass header.d=bank.test\r\n" + plainMessage)
	m.Prefix = nil
	v = ask(t, &Milter{Address: s.start(t, "tidy", path, "-f", "-x", tidy)}, m)
	if v.Action != Pass || len(v.Changes) != 1 || !strings.EqualFold(v.Changes[0].Name, "Authentication-Results") || v.Changes[0].Index != 1 || v.Changes[0].Line != nil {
		t.Errorf("opendkim takes a field away: %+v", v)
	}
}

// startRspamd starts an Rspamd that signs for far.test, with a worker, and returns the
// worker's socket.
func (s *signer) startRspamd(t *testing.T, worker string) string {
	t.Helper()
	path := program(t, "/usr/bin/rspamd")
	s.write(t, "tld", "com\norg\ntest\n")
	conf := s.write(t, "rspamd.conf", strings.NewReplacer("WORKER", strings.ReplaceAll(worker, "DIR", s.dir), "DIR", s.dir, "DNS", s.dns.Addr.String()).Replace(`
options { pidfile = "DIR/pid"; filters = "dkim"; url_tld = "DIR/tld"; disable_hyperscan = true; tempdir = "DIR"; control_socket = "DIR/control mode=0600";
  dns { nameserver = ["DNS"]; timeout = 5s; retransmits = 3; } local_addrs = []; }
logging { type = "console"; level = "warning"; }
worker WORKER
metric "default" { actions { reject = 150; add_header = 60; } symbol "R_DKIM_ALLOW" { weight = -1; } symbol "R_DKIM_REJECT" { weight = 200; } }
modules { path = "/usr/share/rspamd/plugins/dkim_signing.lua"; }
dkim { }
dkim_signing { sign_authenticated = true; allow_username_mismatch = true; use_domain = "header"; check_pubkey = false; domain { far.test { path = "DIR/key.pem"; selector = "r"; } } }
`))
	args := []string{"-c", conf, "-f"}
	if os.Getuid() == 0 {
		args = append(args, "-i")
	}
	return s.start(t, "s", path, args...)
}

// Rspamd as a milter: it signs and we verify, we sign and it verifies.
func TestRspamdMilter(t *testing.T) {
	s := newSigner(t)
	h := &Milter{Address: s.startRspamd(t, `"rspamd_proxy" { milter = yes; bind_socket = "DIR/s mode=0666"; count = 1; timeout = 60s; upstream "local" { default = yes; self_scan = yes; } }`)}
	m := example(plainMessage)
	m.Prefix, m.Account, m.AuthType = nil, "eve@far.test", "PLAIN"
	m.Params, m.TLS = []string{"SIZE=300", "BODY=8BITMIME"}, &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	m.Refused = []Refusal{{mail.Recipient{Address: mail.Address{Local: "nobody", Domain: "demo.test"}}, mail.Reply{Code: 550, Text: "no"}}}
	v := ask(t, h, m)
	if v.Action != Pass {
		t.Fatalf("%+v", v)
	}
	s.verified(t, v.Header)
	if v = ask(t, h, s.signed(t)); v.Action != Pass {
		t.Errorf("%+v", v)
	}
	m = s.signed(t)
	text, err := io.ReadAll(m.Reader())
	if err != nil {
		t.Fatal(err)
	}
	m = example(strings.Replace(string(text), "this is", "this was", 1))
	m.Prefix = nil
	if v = ask(t, h, m); v.Action != Reject {
		t.Errorf("a signature that was broken: %+v", v)
	}
}

// Rspamd over HTTP: the same.
func TestRspamdSigns(t *testing.T) {
	s := newSigner(t)
	socket := s.startRspamd(t, `"normal" { bind_socket = "DIR/s mode=0666"; count = 1; }`)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	r := &Rspamd{URL: "http://rspamd", Client: &http.Client{Transport: transport}}
	m := example(plainMessage)
	m.Prefix, m.Account, m.AuthType = nil, "eve@far.test", "PLAIN"
	m.Params, m.TLS = []string{"SIZE=300", "BODY=8BITMIME"}, &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	m.Refused = []Refusal{{mail.Recipient{Address: mail.Address{Local: "nobody", Domain: "demo.test"}}, mail.Reply{Code: 550, Text: "no"}}}
	v := ask(t, r, m)
	if v.Action != Pass {
		t.Fatalf("%+v", v)
	}
	s.verified(t, v.Header)
	if v = ask(t, r, s.signed(t)); v.Action != Pass || !strings.Contains(v.Findings[0].Text, "R_DKIM_ALLOW") {
		t.Errorf("%+v", v)
	}
}

// Debian's clamd, with a database of one signature, finds it in an attachment of a
// message that we stream to it, takes others, and gives no answer to one over its bound.
func TestClamd(t *testing.T) {
	path := program(t, "/usr/sbin/clamd")
	s := newSigner(t)
	malware := "this is what the one signature of the database describes\n"
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, "db/test.hdb", fmt.Sprintf("%x:%d:Posthouse.Test\n", md5.Sum([]byte(malware)), len(malware)))
	config := s.write(t, "clamd.conf", "Foreground yes\nLocalSocket "+filepath.Join(s.dir, "clamd.sock")+"\nDatabaseDirectory "+filepath.Join(s.dir, "db")+
		"\nTemporaryDirectory "+s.dir+"\nStreamMaxLength 1M\nMaxThreads 2\nOfficialDatabaseOnly no\nSelfCheck 0\nConcurrentDatabaseReload no\n")
	asked := Asked{Name: "clamav", Hook: &ClamAV{Address: s.start(t, "clamd.sock", path, "--config-file="+config)}, Time: time.Minute}
	attached := func(data string) *Message {
		return example("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee there.\r\n" +
			"--b\r\nContent-Type: application/octet-stream; name=x.bin\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=x.bin\r\n\r\n" +
			base64.StdEncoding.EncodeToString([]byte(data)) + "\r\n--b--\r\n")
	}
	for _, tt := range []struct {
		name  string
		m     *Message
		want  Action
		reply string
	}{
		{"malware", attached(malware), Reject, "550 5.7.1 The message holds malware: Posthouse.Test"},
		{"none", attached("harmless\n"), Pass, ""},
		{"text", example(plainMessage), Pass, ""},
		{"several chunks", example("Subject: x\r\n\r\n" + strings.Repeat("a line of text\r\n", 5*chunkSize/16)), Pass, ""},
		{"too large for it", example("Subject: x\r\n\r\n" + strings.Repeat("a line of text\r\n", 2<<20/16)), Defer, "451 4.7.1"},
	} {
		v, err := asked.Ask(t.Context(), nil, tt.m)
		if v.Action != tt.want || !strings.HasPrefix(v.Reply.String(), tt.reply) && tt.reply != "" || (err != nil) != (tt.want == Defer) {
			t.Errorf("%s: %+v, %v", tt.name, v, err)
		}
		if tt.name == "malware" && (len(v.Findings) != 1 || !strings.HasPrefix(v.Findings[0].Text, "Posthouse.Test")) {
			t.Errorf("%+v", v.Findings)
		}
	}
}
