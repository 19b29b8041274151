package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"posthouse/admin"
	"posthouse/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, o Options) string {
	t.Helper()
	if o.Status == nil {
		o.Status = func() admin.ServerStatus {
			return admin.ServerStatus{
				Hostname: "mx.example.org", Version: "test", Started: time.Unix(1000, 0),
				Figures: map[string]uint64{"smtp.messages": 1234567},
				Listeners: []admin.Listener{{Face: "imaps", Network: "tcp", Address: "[::]:993"}, {Face: "imap", Network: "tcp", Address: "127.0.0.1:143"},
					{Face: "mx", Network: "tcp", Address: "0.0.0.0:25"}, {Face: "lmtp", Network: "unix", Address: "/run/<lmtp>"}},
			}
		}
	}
	if o.Health == nil {
		o.Health = func(context.Context) error { return nil }
	}
	o.Now = func() time.Time { return time.Unix(1000+7200, 0) }
	s := New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-done); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestStatusPage(t *testing.T) {
	addr := serve(t, Options{People: []Person{{"Ada <script>", "ada@demo.test", "demo"}}})
	resp, body := get(t, "http://"+addr+"/")
	for _, want := range []string{"All is well.", "for 2 hours", "1\u202f234\u202f567", "<code>mx.example.org</code></td><td><code>993</code></td><td>TLS",
		"<code>127.0.0.1</code></td><td><code>143</code></td><td>STARTTLS", "Ada &lt;script&gt;", "/run/&lt;lmtp&gt;", `lang="en"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	for _, bad := range []string{"<script", "style=", "http://", "https://", "onload"} {
		if strings.Contains(body, bad) {
			t.Errorf("%q in the page", bad)
		}
	}
	csp := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("policy %q", csp)
	}
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Server") != "" {
		t.Errorf("%v", resp.Header)
	}
	if resp, css := get(t, "http://"+addr+"/style.css"); resp.Header.Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(css, "url(") {
		t.Errorf("%v", resp.Header)
	}
}

func TestHealth(t *testing.T) {
	var sick error
	addr := serve(t, Options{Health: func(context.Context) error { return sick }})
	if resp, body := get(t, "http://"+addr+"/healthz"); resp.StatusCode != 200 || body != "ok\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
	sick = errors.New("the disk is full")
	if resp, body := get(t, "http://"+addr+"/healthz"); resp.StatusCode != 503 || body != "the disk is full\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
	if resp, body := get(t, "http://"+addr+"/"); resp.StatusCode != 200 || !strings.Contains(body, "Something is wrong.") || strings.Contains(body, "All is well") {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func TestMetrics(t *testing.T) {
	addr := serve(t, Options{Figures: func() []metrics.Figure { return []metrics.Figure{{Name: "posthouse_x_total", Help: "X.", Value: 7}} }})
	resp, body := get(t, "http://"+addr+"/metrics")
	if body != "# HELP posthouse_x_total X.\n# TYPE posthouse_x_total counter\nposthouse_x_total 7\n" || !strings.Contains(resp.Header.Get("Content-Type"), "version=0.0.4") {
		t.Errorf("%q %v", body, resp.Header)
	}
}

func TestNothingElse(t *testing.T) {
	addr := serve(t, Options{})
	for _, path := range []string{"/x", "/style.css/", "/status.html", "/..%2fstyle.css", "/metrics/x"} {
		if resp, _ := get(t, "http://"+addr+path); resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "TRACE"} {
		req, err := http.NewRequest(method, "http://"+addr+"/", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 405 && resp.StatusCode != 404 {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
}

// What a stranger may cost: a header that is too large or too slow ends the
// connection.
func TestLimits(t *testing.T) {
	addr := serve(t, Options{Limits: Limits{HeaderBytes: 8 << 10, HeaderTime: 100 * time.Millisecond, IdleTime: 100 * time.Millisecond}})
	for name, request := range map[string]string{
		"large":  "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n",
		"slow":   "GET / HTTP/1.1\r\nHost: x\r\n",
		"silent": "",
		"idle":   "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := io.WriteString(nc, request); err != nil {
				t.Fatal(err)
			}
			_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, err := io.ReadAll(nc) // ends when the server closes
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("still open after 10 s; got %q", b)
			}
			if name == "large" && !strings.HasPrefix(string(b), "HTTP/1.1 431") {
				t.Errorf("%q", b)
			}
		})
	}
}

// A foreign name that leads to this machine shows nothing.
func TestRebinding(t *testing.T) {
	addr := serve(t, Options{Hostname: "mx.example.org"})
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"evil.example:" + port: 421, "127.0.0.1.evil.example": 421, "localhost:" + port: 200, "[::1]:" + port: 200, "127.0.0.1": 200, "MX.example.org": 200} {
		req, err := http.NewRequest("GET", "http://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	addr := serve(t, Options{Limits: Limits{Connections: 1, HeaderTime: 200 * time.Millisecond}})
	first, err := net.Dial("tcp", addr) // says nothing, and is cut off
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if resp, _ := get(t, "http://"+addr+"/healthz"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func TestRate(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRate(3, func() time.Time { return now })
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for i := range 3 {
		if !r.allow([]netip.Addr{a, b}[i%2]) {
			t.Fatal(i)
		}
	}
	if r.allow(a) || r.allow(b) || !r.allow(netip.MustParseAddr("2001:db8:0:1::1")) || !r.allow(netip.MustParseAddr("192.0.2.1")) {
		t.Error("a /64 has one allowance")
	}
	for range 10 {
		if !r.allow(netip.MustParseAddr("::ffff:127.0.0.1")) {
			t.Error("loopback is exempt")
		}
	}
	now = now.Add(time.Minute)
	if !r.allow(a) {
		t.Error("a minute later")
	}
	for i := range maxRated + 10 {
		r.allow(netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(r.count) > maxRated {
		t.Error(len(r.count))
	}
	if !newRate(0, nil).allow(a) {
		t.Error("off")
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "0 seconds", time.Second: "1 second", time.Minute: "1 minute", 25 * time.Hour: "25 hours", 49 * time.Hour: "2 days"} {
		if got := ago(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
	if count(0) != "0" || count(1000) != "1\u202f000" {
		t.Error(count(0), count(1000))
	}
}
