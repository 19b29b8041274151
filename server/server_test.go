package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crypto/x509"

	"go.uber.org/goleak"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/mail"
	"posthouse/store/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig listens on free ports of loopback.
func testConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Hostname = "mx.example.org"
	c.Data = filepath.Join(t.TempDir(), "data")
	any := []string{"127.0.0.1:0"}
	c.Listen = config.Listen{MX: any, Submission: any, Submissions: any, IMAP: any, IMAPS: any, HTTP: any,
		LMTP: []string{filepath.Join(t.TempDir(), "lmtp")}}
	c.SMTP.SenderChecks = "off" // no questions to the DNS of this machine
	c.Limits.Memory = 256 << 20
	c.Limits.FreeDiskPercent = config.Off // whatever disk this runs on
	return c
}

func start(t *testing.T, c config.Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), Options{Config: c, Logger: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar), small: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNow(t, s) })
	return s
}

func stopNow(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func (s *Server) addrOf(t *testing.T, face string) string {
	t.Helper()
	for _, l := range s.Listeners() {
		if l.Face == face {
			return l.Address
		}
	}
	t.Fatalf("nothing listens as %s", face)
	return ""
}

func call[Out any](t *testing.T, c admin.Caller, op string, in any) Out {
	t.Helper()
	var out Out
	if err := c.Call(t.Context(), op, in, &out); err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return out
}

func people(t *testing.T, c admin.Caller) {
	t.Helper()
	call[admin.Domain](t, c, "domain.add", admin.Named{Name: "example.org"})
	call[admin.Account](t, c, "account.add", admin.AccountAdd{Address: "ada@example.org", Password: "secret", Admin: true})
}

// talk sends lines and returns the last reply line to each.
func talk(t *testing.T, nc net.Conn, done func(line string) bool, lines ...string) string {
	t.Helper()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(nc)
	var all strings.Builder
	read := func() {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v", all.String(), err)
			}
			all.WriteString(line)
			if done(line) {
				return
			}
		}
	}
	read()
	for _, l := range lines {
		if _, err := nc.Write([]byte(l + "\r\n")); err != nil {
			t.Fatal(err)
		}
		read()
	}
	return all.String()
}

func smtpDone(line string) bool { return len(line) > 3 && line[3] == ' ' }

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// A message goes in at the MX and over LMTP, and is read over IMAP; the figures
// and the check agree.
func TestMailGoesThroughTheHouse(t *testing.T) {
	s := start(t, testConfig(t))
	people(t, s.Admin())
	got := talk(t, dial(t, "tcp", s.addrOf(t, "mx")), smtpDone, "EHLO x.test", "MAIL FROM:<b@x.test>", "RCPT TO:<ada@example.org>", "DATA",
		"From: b@x.test\r\nSubject: one\r\n\r\nHello\r\n.", "RCPT TO:<nobody@example.org>")
	if !strings.Contains(got, "\n354 ") || strings.Count(got, "\n250 ") != 4 {
		t.Fatal(got)
	}
	got = talk(t, dial(t, "unix", s.addrOf(t, "lmtp")), smtpDone, "LHLO x.test", "MAIL FROM:<b@x.test>", "RCPT TO:<ada@example.org>", "DATA",
		"From: b@x.test\r\nSubject: two\r\n\r\nHello\r\n.")
	if strings.Count(got, "\n250 ") != 4 {
		t.Fatal(got)
	}
	nc, err := tls.Dial("tcp", s.addrOf(t, "imaps"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tagged := func(line string) bool { return strings.HasPrefix(line, "a ") || strings.HasPrefix(line, "* OK [CAP") }
	got = talk(t, nc, tagged, "a LOGIN ada@example.org secret", "a STATUS INBOX (MESSAGES)", "a LIST \"\" * RETURN (SPECIAL-USE)", "a LSUB \"\" *")
	for _, want := range []string{"MESSAGES 2", `\Sent`, `\Drafts`, `\Junk`, `\Trash`, `\Archive`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if n := strings.Count(got, "* LSUB "); n != 6 {
		t.Errorf("%d subscriptions of a new account, want its inbox and five: %s", n, got)
	}
	st := call[admin.Status](t, s.Admin(), "status", admin.None{})
	if !st.Running || st.Server.Figures["smtp.messages"] != 2 || len(st.Problems) != 0 {
		t.Errorf("%+v", st)
	}
	if f := call[admin.Findings](t, s.Admin(), "check", admin.Check{Deep: true}); len(f.Problems) != 0 || f.Accounts != 1 {
		t.Errorf("%+v", f)
	}
}

func TestPlaintextLoginIsOff(t *testing.T) {
	c := testConfig(t)
	s := start(t, c)
	people(t, s.Admin())
	tagged := func(line string) bool { return strings.HasPrefix(line, "a ") || strings.HasPrefix(line, "* OK [CAP") }
	got := talk(t, dial(t, "tcp", s.addrOf(t, "imap")), tagged, "a LOGIN ada@example.org secret")
	if !strings.Contains(got, "LOGINDISABLED") || strings.Contains(got, "a OK") {
		t.Error(got)
	}
	stopNow(t, s)
	c.AllowPlaintextLogin = true
	s = start(t, c)
	got = talk(t, dial(t, "tcp", s.addrOf(t, "imap")), tagged, "a LOGIN ada@example.org secret")
	if !strings.Contains(got, "a OK") {
		t.Error(got)
	}
	if st := call[admin.Status](t, s.Admin(), "status", admin.None{}); len(st.Problems) != 1 {
		t.Errorf("status says nothing about plaintext logins: %q", st.Problems)
	}
}

func TestAdminOverTheSocket(t *testing.T) {
	c := testConfig(t)
	s := start(t, c)
	client, err := admin.Dial(t.Context(), c.Data)
	if err != nil {
		t.Fatal(err)
	}
	people(t, client)
	var out admin.Account
	err = client.Call(t.Context(), "account.add", admin.AccountAdd{Address: "ada@example.org"}, &out)
	if mail.KindOf(err) != mail.Exists || mail.TextOf(err) != "ada@example.org exists already" {
		t.Errorf("%v", err)
	}
	if err = client.Call(t.Context(), "no.such", admin.None{}, &out); mail.KindOf(err) != mail.NotFound {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(filepath.Join(c.Data, admin.SocketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := OpenStopped(t.Context(), c); !strings.Contains(fmt.Sprint(err), ErrInUse.Error()) {
		t.Errorf("a second owner: %v", err)
	}
	stopNow(t, s)
	if _, err := admin.Dial(t.Context(), c.Data); err != admin.ErrNotRunning {
		t.Errorf("after the stop: %v", err)
	}
	stopped, err := OpenStopped(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	list := call[admin.Accounts](t, stopped.System.Local(), "account.list", admin.AccountList{})
	if len(list.Accounts) != 1 {
		t.Errorf("%+v", list)
	}
	if err := stopped.Close(); err != nil {
		t.Error(err)
	}
}

func TestRemovedAccountLosesItsMail(t *testing.T) {
	s := start(t, testConfig(t))
	people(t, s.Admin())
	call[admin.Account](t, s.Admin(), "account.remove", admin.Named{Name: "ada@example.org"})
	got := talk(t, dial(t, "tcp", s.addrOf(t, "mx")), smtpDone, "EHLO x.test", "MAIL FROM:<b@x.test>", "RCPT TO:<ada@example.org>")
	if !strings.Contains(got, "\n550 ") {
		t.Error(got)
	}
	if f := call[admin.Findings](t, s.Admin(), "check", admin.Check{}); len(f.Problems) != 0 || f.Accounts != 0 {
		t.Errorf("%+v", f)
	}
}

// A stop lets idle clients go at once with a word, and what was listening is free.
func TestStop(t *testing.T) {
	s := start(t, testConfig(t))
	people(t, s.Admin())
	nc := dial(t, "tcp", s.addrOf(t, "imap"))
	r := bufio.NewReader(nc)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stopNow(t, s)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the stop took %v", took)
	}
	_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* BYE") {
		t.Errorf("%q %v", line, err)
	}
	l, err := net.Listen("tcp", s.addrOf(t, "imap"))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestStartFailsCleanly(t *testing.T) {
	c := testConfig(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c.Listen.IMAP = []string{taken.Addr().String()}
	if _, err := Start(t.Context(), Options{Config: c, Logger: slog.New(slog.DiscardHandler), small: true}); err == nil || !strings.Contains(err.Error(), "listen.imap") || !strings.Contains(err.Error(), "another server listens there") {
		t.Fatalf("%v", err)
	}
	c = testConfig(t)
	start(t, c)
	d := testConfig(t)
	d.Data = c.Data
	if _, err := Start(t.Context(), Options{Config: d, Logger: slog.New(slog.DiscardHandler), small: true}); err == nil || !strings.Contains(err.Error(), ErrInUse.Error()) {
		t.Fatalf("%v", err)
	}
	// The one that runs is still reached: the other did not take its socket.
	if _, err := admin.Dial(t.Context(), c.Data); err != nil {
		t.Fatal(err)
	}
}

func writePair(t *testing.T, dir, host string) config.TLS {
	t.Helper()
	cert, err := selfSigned(host, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, files.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func served(t *testing.T, addr string) string {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestReload(t *testing.T) {
	c := testConfig(t)
	dir := t.TempDir()
	c.TLS = writePair(t, dir, "one.example.org")
	s := start(t, c)
	addr := s.addrOf(t, "imaps")
	if got := served(t, addr); got != "one.example.org" {
		t.Fatal(got)
	}
	writePair(t, dir, "two.example.org")
	c.Log.Level = "debug"
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() { s.status() }) // while it reloads
	}
	defer looking.Wait()
	c.Limits.SMTPCommandLine, c.SMTP.Hooks, c.Limits.Message = 1234, []string{"milter 127.0.0.1:1 fail=accept"}, 7<<20
	c.Limits.IMAPPerUser = 77
	out, err := s.Reload(t.Context(), c)
	if err != nil || !slices.Contains(out.Applied, "smtp.hooks") || !slices.Contains(out.Applied, "limits.imap_connections_per_user") || !slices.Contains(out.AtStart, "limits.message") {
		t.Fatal(out, err)
	}
	if got := served(t, addr); got != "two.example.org" || s.opts.Level.Level() != slog.LevelDebug {
		t.Fatal(got, s.opts.Level)
	}
	if err := os.WriteFile(c.TLS.Cert, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Log.Level = "error"
	if _, err := s.Reload(t.Context(), c); err == nil || s.opts.Level.Level() != slog.LevelDebug || s.cfg.Log.Level != "debug" {
		t.Fatal("garbage was loaded")
	}
	c.Queue.SmarthostPasswordFile = filepath.Join(dir, "none")
	if _, err := s.Reload(t.Context(), c); err == nil || !strings.Contains(err.Error(), "password of a relay") {
		t.Fatal(err)
	}
	if got := served(t, addr); got != "two.example.org" {
		t.Fatalf("after a failed reload: %s", got)
	}
}

func TestHTTP(t *testing.T) {
	s := start(t, testConfig(t))
	base := "http://" + s.addrOf(t, "http")
	for path, want := range map[string]string{"/status": "All is well.", "/healthz": "ok\n", "/metrics": "posthouse_connections_total{protocol=\"smtp\"} "} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s\n%s", path, resp.Status, b.String())
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestLoggers(t *testing.T) {
	var b bytes.Buffer
	log, level := NewLogger(&b, config.Log{Level: "info", Format: "human"})
	log.With("tid", "x1").WithGroup("g").Info("login", "user", "a\nb", "n", 3, "d", 1500*time.Microsecond)
	log.Debug("not yet")
	level.Set(slog.LevelDebug)
	log.Debug("now\x1b[31m")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], `INFO  login tid=x1 g.user="a\nb" g.n=3 g.d=1.5ms`) || !strings.HasSuffix(lines[1], `"now\x1b[31m"`) {
		t.Errorf("%q", lines)
	}
	b.Reset()
	log, _ = NewLogger(&b, config.Log{Level: "info", Format: "auto"})
	log.Info("x", "k", "v")
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got["k"] != "v" {
		t.Errorf("%s %v", b.String(), err)
	}
}

// What Ada of the demo sends to the outside comes back with the reason, and no
// connection leaves the process.
func TestDemoSendsNothingOut(t *testing.T) {
	d, err := StartDemo(t.Context(), DemoOptions{PortBase: -1, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Wait(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	nc, err := tls.Dial("tcp", d.addr("submissions"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	got := talk(t, nc, smtpDone, "EHLO x.test", "AUTH PLAIN AGFkYUBkZW1vLnRlc3QAZGVtbw==", "MAIL FROM:<ada@demo.test>", "RCPT TO:<friend@gmail.com>", "DATA",
		"From: ada@demo.test\r\nTo: friend@gmail.com\r\nSubject: hello\r\n\r\nHello\r\n.")
	if !strings.Contains(got, "\n235 ") || strings.Count(got, "\n250 ") != 4 {
		t.Fatal(got)
	}
	if err := d.queue.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	im, err := tls.Dial("tcp", d.addr("imaps"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	tagged := func(line string) bool { return strings.HasPrefix(line, "a ") || strings.HasPrefix(line, "* OK [CAP") }
	got = talk(t, im, tagged, "a LOGIN ada@demo.test demo", "a SELECT INBOX", "a FETCH * BODY[]")
	if !strings.Contains(got, "nothing leaves this computer") || !strings.Contains(got, "Action: failed") {
		t.Error(got)
	}
}

func TestPortsThatBrowsersRefuse(t *testing.T) {
	if bound := withBrowserPort(t.Context(), nil, 11000); len(bound) != 0 {
		t.Errorf("%v", bound)
	}
	bound := withBrowserPort(t.Context(), nil, 10000)
	if len(bound) != 1 || bound[0].Face != "http" {
		t.Fatalf("%v", bound)
	}
	_ = bound[0].Close()
}

// faulty is an engine that says it has failed.
type faulty struct {
	engine.Engine
	failed atomic.Bool
}

// Stats tells of the fault.
func (f *faulty) Stats() engine.Stats {
	st := f.Engine.Stats()
	st.Failed = st.Failed || f.failed.Load()
	return st
}

// After a fault of the store the server opens it again by itself, on the same
// ports, and everything that was there is there.
func TestRecoversAlone(t *testing.T) {
	var engines []*faulty
	s, err := Start(t.Context(), Options{Config: testConfig(t), Logger: slog.New(slog.DiscardHandler), small: true,
		wrap: func(e engine.Engine) engine.Engine {
			engines = append(engines, &faulty{Engine: e})
			return engines[len(engines)-1]
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer stopNow(t, s)
	people(t, s.Admin())
	addr := s.addrOf(t, "mx")
	s.mend(t.Context())
	if len(engines) != 1 {
		t.Fatal("a sound store was opened again")
	}
	engines[0].failed.Store(true)
	if s.health(t.Context()) == nil {
		t.Error("healthy after a fault")
	}
	idle := dial(t, "tcp", s.addrOf(t, "imap"))
	s.mend(t.Context())
	if len(engines) != 2 || s.health(t.Context()) != nil {
		t.Fatalf("%d engines, %v", len(engines), s.health(t.Context()))
	}
	_ = idle.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(idle); err != nil {
		t.Errorf("a connection of before hangs: %v", err)
	}
	got := talk(t, dial(t, "tcp", addr), smtpDone, "EHLO x.test", "MAIL FROM:<b@x.test>", "RCPT TO:<ada@example.org>", "DATA", "Subject: x\r\n\r\nx\r\n.")
	if strings.Count(got, "\n250 ") != 4 {
		t.Error(got)
	}
	if st := call[admin.Status](t, s.Admin(), "status", admin.None{}); st.Server.Listeners[0].Address != addr {
		t.Errorf("%+v", st.Server.Listeners)
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	if err := probe(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	if probe(filepath.Join(dir, "gone")) == nil {
		t.Error("a disk that is not there works")
	}
}

func TestCertificateProblem(t *testing.T) {
	c := testConfig(t)
	c.TLS = writePair(t, t.TempDir(), "x.example.org")
	s := start(t, c)
	end := s.tls.Load().Leaf.NotAfter
	for at, want := range map[time.Time]string{time.Now(): "", end.AddDate(0, 0, -7): "ends on", end.Add(time.Hour): "ended on"} {
		if got := s.certificateProblem(at); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%v: %q", at, got)
		}
	}
}

// What an operator does with a message that cannot go out: look, hold, release,
// give up; then its sender knows.
func TestQueueOperations(t *testing.T) {
	c := testConfig(t)
	c.Queue.Smarthost = "127.0.0.1:1" // nobody listens there
	s := start(t, c)
	people(t, s.Admin())
	nc, err := tls.Dial("tcp", s.addrOf(t, "submissions"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	got := talk(t, nc, smtpDone, "EHLO x.test", "AUTH PLAIN AGFkYUBleGFtcGxlLm9yZwBzZWNyZXQ=", "MAIL FROM:<ada@example.org>", "RCPT TO:<far@example.net>", "DATA",
		"From: ada@example.org\r\nTo: far@example.net\r\nSubject: x\r\n\r\nx\r\n.")
	if strings.Count(got, "\n250 ") != 4 {
		t.Fatal(got)
	}
	if err := s.queue.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := call[admin.QueueMessages](t, s.Admin(), "queue.list", admin.QueueList{Domain: "example.net"})
	if len(list.Messages) != 1 || list.Messages[0].From != "ada@example.org" || list.Messages[0].Recipients[0].LastReply == "" {
		t.Fatalf("%+v", list)
	}
	id := list.Messages[0].ID
	pick := admin.QueuePick{IDs: []string{id}}
	call[admin.QueueChanged](t, s.Admin(), "queue.hold", pick)
	if m := call[admin.QueueDetail](t, s.Admin(), "queue.show", admin.Named{Name: strings.ToLower(id)}); !m.Held {
		t.Errorf("%+v", m)
	}
	for _, op := range []string{"queue.release", "queue.retry"} {
		call[admin.QueueChanged](t, s.Admin(), op, admin.QueuePick{All: true})
		if err := s.queue.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m := call[admin.QueueDetail](t, s.Admin(), "queue.show", admin.Named{Name: id}); m.Held || m.Attempts < 2 {
		t.Errorf("%+v", m)
	}
	if out := call[admin.QueueChanged](t, s.Admin(), "queue.bounce", admin.QueuePick{Domain: "example.net"}); len(out.IDs) != 1 {
		t.Errorf("%+v", out)
	}
	if list := call[admin.QueueMessages](t, s.Admin(), "queue.list", admin.QueueList{}); len(list.Messages) != 0 {
		t.Errorf("%+v", list)
	}
	if d := call[admin.AccountDetail](t, s.Admin(), "account.show", admin.Named{Name: "ada@example.org"}); d.Messages != 1 {
		t.Errorf("the sender has %d reports", d.Messages)
	}
	if f := call[admin.Findings](t, s.Admin(), "check", admin.Check{Deep: true}); len(f.Problems) != 0 {
		t.Errorf("%+v", f)
	}
}
