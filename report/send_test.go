package report

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/mail"
	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/spf"
	"posthouse/message"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
	"posthouse/tlspolicy/tlsrpt"
)

const sendZone = `
_dmarc.far.test.           TXT "v=DMARC1; p=reject; sp=none; rua=mailto:r@far.test,mailto:x@out.test!10k"
far.test._report._dmarc.out.test. TXT "v=DMARC1"
_dmarc.victim.test.        TXT "v=DMARC1; p=none; rua=mailto:v@innocent.test"
_dmarc.moved.test.         TXT "v=DMARC1; p=none; rua=mailto:a@collect.test"
moved.test._report._dmarc.collect.test. TXT "v=DMARC1; rua=mailto:b@collect.test"
_dmarc.sly.test.           TXT "v=DMARC1; p=none; rua=mailto:a@bounce.test"
sly.test._report._dmarc.bounce.test. TXT "v=DMARC1; rua=mailto:b@innocent.test"
_dmarc.tiny.test.          TXT "v=DMARC1; p=none; rua=mailto:t@tiny.test!1k"
_dmarc.quiet.test.         TXT "v=DMARC1; p=none; rua=mailto:q@quiet.test"
_dmarc.silent.test.        TXT "v=DMARC1; p=none"
_dmarc.fail.test.          TXT "v=DMARC1; p=reject; fo=1:d:s; ruf=mailto:f@fail.test,mailto:x@out.test,mailto:v@innocent.test"
bounce.fail.test.          TXT "v=spf1 ip4:198.51.100.1 -all"
fail.test._report._dmarc.out.test. TXT "v=DMARC1"
_smtp._tls.far.test.       TXT "v=TLSRPTv1; rua=mailto:tls@far.test"
_smtp._tls.web.test.       TXT "v=TLSRPTv1; rua=https://web.test/report"
`

// A post is a message that a Sender handed in.
type post struct {
	env  mail.Envelope
	text string
}

// A desk is a Sender with what is around it.
type desk struct {
	t     *testing.T
	eng   engine.Engine
	dns   *dnstest.Server
	opts  SenderOptions
	tally *Tally
	mu    sync.Mutex
	now   time.Time
	got   []post
	fail  error
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, eng: mem.New(), dns: dnstest.New(t, sendZone), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	d.opts = SenderOptions{Engine: d.eng, Resolver: d.dns.Client(t, dns.Options{Now: d.clock}), Hostname: "mx.here.test", Organization: "Here & Co", Rand: rand.Reader, Now: d.clock,
		From: func(context.Context) (mail.Address, error) {
			return mail.Address{Local: "reports", Domain: "here.test"}, nil
		},
		Inject: d.inject}
	d.open()
	t.Cleanup(func() {
		_ = d.tally.Close(context.Background())
		_ = d.eng.Close()
	})
	return d
}

func (d *desk) open() {
	d.tally = OpenTally(TallyOptions{Engine: d.eng, DMARC: true, TLS: true, Failures: true, Now: d.clock, Delay: time.Hour})
	d.opts.Tally = d.tally
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func (d *desk) inject(ctx context.Context, env mail.Envelope, content []byte, also *engine.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	if _, err := d.eng.Commit(ctx, also).Wait(); err != nil {
		return err
	}
	d.got = append(d.got, post{env, string(content)})
	return nil
}

// send is a new Sender's look at what is due.
func (d *desk) send() {
	d.t.Helper()
	if err := NewSender(d.opts).SendDue(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// to is what was sent to an address.
func (d *desk) to(address string) (list []post) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.got {
		if p.env.Recipients[0].Address.String() == address {
			list = append(list, p)
		}
	}
	return list
}

// left is how many keys of counts and notes there are.
func (d *desk) left() (n int) {
	r := d.eng.Snapshot(0)
	defer r.Close()
	_ = r.Scan([]byte("r"), []byte("s"), func(_, _ []byte) bool { n++; return true })
	return n
}

// count records n messages from a domain.
func (d *desk) count(domain, source string, n int, change func(*Evaluation)) {
	p := dmarc.Discover(d.t.Context(), d.opts.Resolver, domain)
	e := Evaluation{Source: netip.MustParseAddr(source), EnvelopeFrom: "bounce." + domain, Policy: p,
		Result: dmarc.Result{Status: dmarc.Fail, From: domain, Domain: p.Domain, Policy: p.Record.Policy}, Applied: p.Record.Policy,
		SPF: spf.Result{Status: spf.Fail, Domain: "bounce." + domain}, DKIM: []dkim.Result{{Status: dkim.Fail, Domain: "else.test", Selector: "s1"}}}
	if change != nil {
		change(&e)
	}
	for range n {
		d.tally.RecordDMARC(&e)
	}
}

// What was counted in a day comes out of the report that is sent, read by our own reader,
// over a restart in the middle, once.
func TestDMARCRoundTrip(t *testing.T) {
	d := newDesk(t)
	d.count("far.test", "192.0.2.1", 3, nil)
	d.count("far.test", "::ffff:192.0.2.1", 2, nil) // the same client
	if err := d.tally.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.count("far.test", "192.0.2.1", 4, nil)
	d.count("far.test", "2001:db8::1", 5, func(e *Evaluation) { e.Result.SPF, e.Applied = true, dmarc.Nothing })
	d.count("mail.far.test", "192.0.2.1", 6, func(e *Evaluation) { e.Reason, e.Comment = "local_policy", "arc=pass d=<list>.test" })
	d.send() // the day is not over
	if len(d.got) > 0 {
		t.Fatalf("sent too early: %v", d.got)
	}
	d.pass(24 * time.Hour)
	d.count("far.test", "192.0.2.7", 1, nil) // of the next day
	d.send()
	d.send()
	for _, to := range []string{"r@far.test", "x@out.test"} {
		list := d.to(to)
		if len(list) != 1 {
			t.Fatalf("%s got %d reports", to, len(list))
		}
		p := list[0]
		rep, ok, err := read(p.text)
		if !ok || err != nil || rep.Domain != "far.test" || rep.Reporter != "Here & Co" || rep.Good != 5 || rep.Bad != 9+6 || len(rep.Rows) != 3 || rep.Policy != "p=reject sp=none" {
			t.Errorf("%+v, %v", rep, err)
		}
		if !rep.Begin.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) || rep.End.Sub(rep.Begin) != 24*time.Hour-time.Second {
			t.Errorf("%v to %v", rep.Begin, rep.End)
		}
		m := message.Parse([]byte(p.text))
		name := fmt.Sprintf("here.test!far.test!%d!%d!%s.xml.gz", rep.Begin.Unix(), rep.End.Unix(), rep.Number)
		if got := m.Parts[2].Filename(); got != name {
			t.Errorf("the file is called %q, want %q", got, name)
		}
		if s := m.Header.Text("Subject"); s != "Report Domain: far.test Submitter: here.test Report-ID: <"+rep.Number+"@here.test>" {
			t.Error(s)
		}
		if !p.env.ReversePath.IsNull() || p.env.Recipients[0].Notify != mail.NotifyNever || !Looks(m) {
			t.Errorf("%+v", p.env)
		}
	}
	if d.left() == 0 {
		t.Error("what was counted today is gone too")
	}
	d.pass(24 * time.Hour)
	d.send()
	if n := len(d.to("r@far.test")); n != 2 || d.left() != 0 {
		t.Errorf("%d reports, %d keys", n, d.left())
	}
}

// xmlOf unpacks the report of a message.
func xmlOf(t *testing.T, p post) string {
	t.Helper()
	m := message.Parse([]byte(p.text))
	b, err := unpack(&m.Parts[2], strings.NewReader(p.text))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// RFC 7489 §C: each element where a reader of others looks for it.
func TestDMARCForm(t *testing.T) {
	d := newDesk(t)
	d.count("mail.far.test", "192.0.2.1", 6, func(e *Evaluation) { e.Reason, e.Comment = "local_policy", "arc=pass d=<list>.test" })
	d.pass(24 * time.Hour)
	d.send()
	got := xmlOf(t, d.to("r@far.test")[0])
	want := []string{"<org_name>Here &amp; Co</org_name>", "<email>reports@here.test</email>", "<policy_published>", "<domain>far.test</domain>", "<adkim>r</adkim>", "<p>reject</p>", "<sp>none</sp>", "<pct>100</pct>",
		"<source_ip>192.0.2.1</source_ip>", "<count>6</count>", "<disposition>reject</disposition>", "<dkim>fail</dkim>", "<spf>fail</spf>", "<type>local_policy</type>", "<comment>arc=pass d=&lt;list&gt;.test</comment>",
		"<envelope_from>bounce.mail.far.test</envelope_from>", "<header_from>mail.far.test</header_from>", "<auth_results>", "<selector>s1</selector>", "<domain>bounce.mail.far.test</domain>", "<scope>mfrom</scope>", "<result>fail</result>"}
	for at, rest := 0, got; at < len(want); at++ {
		_, after, ok := strings.Cut(rest, want[at])
		if !ok {
			t.Fatalf("no %s, or not there, in\n%s", want[at], got)
		}
		rest = after
	}
}

// RFC 7489 §7.1 and §7.2: who gets a report, and who does not.
func TestDMARCPlaces(t *testing.T) {
	d := newDesk(t)
	for _, domain := range []string{"victim.test", "moved.test", "sly.test", "silent.test"} {
		d.count(domain, "192.0.2.1", 1, nil)
	}
	d.count("quiet.test", "192.0.2.1", 1, func(e *Evaluation) { e.Quiet = true })
	for i := range 100 {
		d.count("tiny.test", fmt.Sprintf("192.0.2.%d", i), i+1, nil)
	}
	d.pass(24 * time.Hour)
	d.send()
	for to, want := range map[string]int{"v@innocent.test": 0, "b@innocent.test": 0, "a@bounce.test": 0, "a@collect.test": 0, "b@collect.test": 1, "q@quiet.test": 0, "t@tiny.test": 1} {
		if got := d.to(to); len(got) != want {
			t.Errorf("%s got %d messages", to, len(got))
		}
	}
	if p := d.to("t@tiny.test"); len(p) == 1 && (!strings.Contains(p[0].text, "Report-Size: ") || strings.Contains(p[0].text, "gzip")) {
		t.Errorf("%s", p[0].text)
	}
	if n := d.left(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// What cannot be sent now is sent later, to those who do not have it yet; after two days it
// is given up.
func TestSendLater(t *testing.T) {
	d := newDesk(t)
	d.count("far.test", "192.0.2.1", 1, nil)
	d.pass(24 * time.Hour)
	d.dns.SetFault("far.test._report._dmarc.out.test", "", dnstest.ServFail)
	d.send()
	if len(d.to("r@far.test")) != 1 || len(d.to("x@out.test")) != 0 {
		t.Fatalf("%v", d.got)
	}
	d.dns.SetFault("far.test._report._dmarc.out.test", "", dnstest.Fault{})
	d.pass(time.Hour)
	d.fail = &mail.Error{Kind: mail.Unavailable, Err: errors.New("disk full")}
	d.send()
	d.fail = nil
	d.send()
	if len(d.to("r@far.test")) != 1 || len(d.to("x@out.test")) != 1 || d.left() != 0 {
		t.Errorf("%v, %d keys", d.got, d.left())
	}
	d.count("far.test", "192.0.2.1", 1, nil)
	d.fail = errors.New("for ever")
	for range 4 {
		d.pass(24 * time.Hour)
		d.send()
	}
	if d.left() != 0 {
		t.Error("counts stay for ever")
	}
}

func session(d *desk, domain string, result tlsrpt.Result) {
	detail := tlsrpt.Detail{Result: result}
	if result != tlsrpt.Success {
		detail.MX, detail.ReceivingIP = "mx."+domain, "192.0.2.5"
	}
	d.tally.RecordTLS(domain, tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: domain, MX: []string{"mx." + domain}, String: []string{"version: STSv1", "mode: enforce"}}, detail)
}

// RFC 8460: sessions of a day, counted over a restart, go out by mail and by HTTPS.
func TestTLSRoundTrip(t *testing.T) {
	d := newDesk(t)
	for _, domain := range []string{"far.test", "web.test", "nobody.test"} {
		session(d, domain, tlsrpt.Success)
		session(d, domain, tlsrpt.CertExpired)
		d.tally.Flush(t.Context())
		session(d, domain, tlsrpt.CertExpired)
		session(d, domain, tlsrpt.NoStartTLS)
	}
	codes := []int{500, 201}
	var posted []string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		posted = append(posted, r.Host+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(b))
		w.WriteHeader(codes[min(len(posted), len(codes))-1])
	}))
	defer srv.Close()
	d.opts.Client = srv.Client()
	tr, _ := d.opts.Client.Transport.(*http.Transport)
	tr.TLSClientConfig.InsecureSkipVerify = true // the name is web.test
	tr.DialContext = dialTo(srv.Listener.Addr().String())
	d.pass(24 * time.Hour)
	d.send()
	d.pass(time.Hour)
	d.send() // after the 500
	d.send()
	if len(posted) != 2 || !strings.HasPrefix(posted[1], "web.test/report application/tlsrpt+gzip ") {
		t.Fatalf("posted: %.80q", posted)
	}
	z, err := gzip.NewReader(strings.NewReader(strings.SplitN(posted[1], " ", 3)[2]))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := io.Copy(&text, z); err != nil {
		t.Fatal(err)
	}
	if rep, err := readTLS(text.Bytes()); err != nil || rep.Domain != "web.test" || rep.Good != 1 || rep.Bad != 3 || len(rep.Rows) != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	list := d.to("tls@far.test")
	if len(list) != 1 || d.left() != 0 {
		t.Fatalf("%d messages, %d keys", len(list), d.left())
	}
	rep, ok, err := read(list[0].text)
	if !ok || err != nil || rep.Kind != TLS || rep.Domain != "far.test" || rep.Good != 1 || rep.Bad != 3 || rep.Policy != "sts" || len(rep.Rows) != 2 || rep.Rows[0].Result != "certificate-expired" || rep.Rows[0].Count != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	m := message.Parse([]byte(list[0].text))
	for name, want := range map[string]string{"TLS-Report-Domain": "far.test", "TLS-Report-Submitter": "here.test", "TLS-Required": "No"} {
		if got := m.Header.Text(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if p := m.Parts[0]; p.Subtype != "report" || p.Param("report-type") != "tlsrpt" || !strings.HasSuffix(m.Parts[2].Filename(), ".json.gz") {
		t.Errorf("%+v", p)
	}
}

// RFC 8460 §1.1: under DANE the policy is the server's, and the report its clients'.
func TestTLSReportOfDANE(t *testing.T) {
	d := newDesk(t)
	d.tally.RecordTLS("far.test", tlsrpt.Policy{Type: tlsrpt.TypeTLSA, Domain: "mx.else.test", String: []string{"3 1 1 00"}}, tlsrpt.Detail{Result: tlsrpt.ValidationFailure, MX: "mx.else.test", Reason: "tlsa-mismatch"})
	d.pass(24 * time.Hour)
	d.send()
	list := d.to("tls@far.test")
	if len(list) != 1 {
		t.Fatalf("%d messages", len(list))
	}
	rep, ok, err := read(list[0].text)
	if !ok || err != nil || rep.Domain != "far.test" || rep.Policy != "tlsa" || rep.Bad != 1 || rep.Rows[0].Detail != "mx.else.test tlsa-mismatch" {
		t.Errorf("%+v, %v", rep, err)
	}
}

// A flood of sources and domains is bounded, and what is left out is counted.
func TestTallyBounds(t *testing.T) {
	d := newDesk(t)
	p := tlsrpt.Policy{Type: tlsrpt.TypeNone}
	for i := range maxPending + 10 {
		d.tally.RecordTLS(fmt.Sprintf("d%d.test", i), p, tlsrpt.Detail{})
	}
	for _, bad := range []string{"", "a\x00b", "bücher.test", strings.Repeat("a", 300)} {
		d.tally.RecordTLS(bad, p, tlsrpt.Detail{})
	}
	d.tally.Flush(t.Context())
	if n := d.left(); n != maxPending || d.tally.Left() != 10 {
		t.Errorf("%d keys, %d left out", n, d.tally.Left())
	}
	var none *Tally
	none.RecordTLS("a.test", p, tlsrpt.Detail{})
	none.RecordDMARC(&Evaluation{})
}

// dialTo leads all connections to one address.
func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

// Whatever a domain publishes as a place for reports, what comes of it is an address that
// mail can go to, or nothing.
func FuzzMailto(f *testing.F) {
	for _, s := range []string{"mailto:a@b.test!10m", "mailto:a%2Bb@c.test?subject=x", "mailto:%22a b%22@c.test", "mailto:a@[192.0.2.1]", "https://x.test", "mailto:a@b.test!", "mailto:a@b.test!1z", "MAILTO:a@b.test!99999999999g"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := mailto(s)
		if ok && (d.to.Local == "" || d.to.Domain == "" || !d.to.IsASCII() || strings.ContainsAny(d.to.String(), "\r\n\x00") || d.max < 0) {
			t.Errorf("%q: %+v", s, d)
		}
	})
}

// What was not sent is shown, and is sent before its time when somebody says so: the days
// that are over.
func TestPending(t *testing.T) {
	d := newDesk(t)
	d.count("far.test", "192.0.2.1", 3, nil)
	s := NewSender(d.opts)
	list, err := s.Pending(t.Context())
	if err != nil || len(list) != 1 || list[0].Kind != DMARC || list[0].Domain != "far.test" || list[0].Due.Before(list[0].Day.Add(24*time.Hour)) {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := s.SendNow(t.Context()); err != nil || len(d.got) != 0 {
		t.Fatal("the day is not over:", d.got, err)
	}
	now := d.opts.Now()
	d.pass(list[0].Day.Add(24*time.Hour + settled).Sub(now))
	s = NewSender(d.opts)
	if err := s.SendDue(t.Context()); err != nil || len(d.got) != 0 {
		t.Fatal("before its time:", d.got, err)
	}
	if err := s.SendNow(t.Context()); err != nil || len(d.got) == 0 {
		t.Fatal(d.got, err)
	}
	if list, err := s.Pending(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
