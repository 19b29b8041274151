package web

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"posthouse/directory"
	"posthouse/publish"
	"posthouse/store/engine/mem"
	"posthouse/tlspolicy/mtasts"
)

// askFor sends a request for a host name to a server of the test.
func askFor(t *testing.T, method, addr, host, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
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

func TestWellKnown(t *testing.T) {
	dir, err := directory.Open(t.Context(), mem.New(), directory.Options{Hash: directory.HashCost{MemoryKiB: 64, Passes: 1, Lanes: 1}, ProofIterations: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.AddDomain(t.Context(), "demo.test"); err != nil {
		t.Fatal(err)
	}
	pub := publish.New(publish.Options{Directory: dir, Hostname: "mx.demo.test", Faces: []publish.Face{{Name: "imaps", Port: 993}, {Name: "imap", Port: 143}, {Name: "submissions", Port: 465}}})
	addr := serve(t, Options{Hostname: "mx.demo.test", Publish: pub, Limits: Limits{PerMinute: -1}})

	resp, text := askFor(t, "GET", addr, "mta-sts.demo.test", mtasts.Path, "")
	if p, err := mtasts.Parse(text); err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || p.Mode != mtasts.Testing || !p.Covers("mx.demo.test") {
		t.Errorf("%v %v %q", resp, err, text)
	}
	for _, tt := range []struct {
		method, host, path, body string
		code                     int
		says                     []string
	}{
		{"GET", "mta-sts.far.test", mtasts.Path, "", 421, nil},
		{"GET", "mx.demo.test", mtasts.Path, "", 404, nil},
		{"GET", "autoconfig.demo.test", mtasts.Path, "", 404, nil},
		{"GET", "autoconfig.demo.test", "/mail/config-v1.1.xml", "", 200, []string{"<hostname>mx.demo.test</hostname>", "<port>993</port>", "<socketType>SSL</socketType>", "STARTTLS", "<port>465</port>"}},
		{"GET", "mx.demo.test", "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=ada@demo.test", "", 200, []string{`<emailProvider id="demo.test">`}},
		{"GET", "mx.demo.test", "/mail/config-v1.1.xml?emailaddress=ada@far.test", "", 404, nil},
		{"GET", "mx.demo.test", "/mail/config-v1.1.xml", "", 404, nil},
		{"GET", "mx.demo.test", "/profile.mobileconfig?email=Ada@demo.test", "", 200, []string{"<string>Ada@demo.test</string>", "<integer>993</integer>", "<integer>465</integer>"}},
		{"GET", "mx.demo.test", "/profile.mobileconfig?email=%22%3Cb%3E%26%22@demo.test", "", 200, []string{"&lt;b&gt;&amp;"}},
		{"GET", "mx.demo.test", "/profile.mobileconfig", "", 400, nil},
		{"GET", "mx.demo.test", "/profile.mobileconfig?email=ada@far.test", "", 404, nil},
		{"POST", "autodiscover.demo.test", "/autodiscover/autodiscover.xml", `<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>ada@demo.test</EMailAddress></Request></Autodiscover>`, 200,
			[]string{"<Type>IMAP</Type>", "<LoginName>ada@demo.test</LoginName>", "<Encryption>SSL</Encryption>"}},
		{"POST", "mx.demo.test", "/Autodiscover/Autodiscover.xml", "<A><Request><EMailAddress>ada@far.test</EMailAddress></Request></A>", 404, nil},
		{"POST", "mx.demo.test", "/autodiscover/autodiscover.xml", "{}", 400, nil},
		{"POST", "mx.demo.test", "/autodiscover/autodiscover.xml", "<A>" + strings.Repeat("<b>", 20000), 400, nil},
	} {
		resp, text := askFor(t, tt.method, addr, tt.host, tt.path, tt.body)
		if resp.StatusCode != tt.code {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.host, tt.path, resp.StatusCode, text)
		}
		for _, want := range tt.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s %s: no %q in %s", tt.host, tt.path, want, text)
			}
		}
		if resp.StatusCode == 200 {
			if err := xml.NewDecoder(strings.NewReader(text)).Decode(new(struct{})); err != nil {
				t.Errorf("%s: %v", tt.path, err)
			}
		}
	}
}
