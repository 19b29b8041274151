package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthouse/dns"
	"posthouse/tlspolicy/dane"
)

// A signedZone is a domain of TestSignedDNS, how its zone is made, and what becomes of mail
// for it.
type signedZone struct {
	name   string
	signed bool
	dates  []string          // of the signatures, for ldns-signzone
	tlsa   string            // RIGHT is that of the server's key; "": none
	text   string            // its records but SOA and NS; "": an MX on host b
	forge  map[string]string // replaced in the zone after it was signed
	want   []string          // in the story of the message
}

const otherKey = "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// TestSignedDNS: RFC 7672 with a real resolver, Unbound, that validates real signatures, made
// by ldns-signzone: DANE counts where the zone is truly signed, and only there; what cannot
// be validated keeps the mail waiting.
func TestSignedDNS(t *testing.T) {
	zones := []signedZone{
		{name: "good.test", signed: true, tlsa: "RIGHT", want: []string{"over TLS, dane) and answered: 250", "The server of ada@good.test has it"}},
		{name: "wrong.test", signed: true, tlsa: otherKey, want: []string{"451 4.7.5 no secure connection with mx.wrong.test", "It waits, and is tried again"}},
		{name: "plain.test", tlsa: otherKey, want: []string{"over TLS, opportunistic) and answered: 250"}},
		{name: "none.test", signed: true, want: []string{"over TLS, opportunistic) and answered: 250"}},
		{name: "forged.test", signed: true, tlsa: otherKey, forge: map[string]string{otherKey[6:]: "RIGHT"}, want: []string{"451 4.7.5 the TLSA records of mx.forged.test cannot be looked up securely", "It waits, and is tried again"}},
		{name: "late.test", signed: true, tlsa: "RIGHT", dates: []string{"-i", "20200101", "-e", "20200201"}, want: []string{"451 4.4.3", "It waits, and is tried again"}},
	}
	x := &exchange{lab: newLab(t, "a", "b"), rigs: map[string]*rig{}}
	programs := signingPrograms(t)
	x.dir = t.TempDir()
	x.ca = newPaper(t, x.dir, "ca", nil)
	papers := map[string]*paper{"a": newPaper(t, x.dir, "mx.a.test", x.ca), "b": newPaper(t, x.dir, "mx.b.test", x.ca)}
	right := dane.String(dane.RecordOf(papers["b"].pair.Leaf))
	anchors := ""
	for i := range zones {
		anchors += x.sign(t, programs, &zones[i], right)
	}
	x.unbound(t, programs["unbound"], zones, anchors)
	for _, h := range []string{"a", "b"} {
		x.posthouse(t, h, papers[h])
	}
	for _, z := range zones {
		x.rigs["b"].run(t, "", "domain", "add", z.name)
		x.rigs["b"].addAccount(t, "ada@"+z.name)
		x.submit(t, "a", "ada@"+z.name, "")
	}
	for _, z := range zones {
		x.rigs["a"].story(t, "ada@"+z.name, z.want...)
	}
}

// signingPrograms are the programs that sign zones and serve them, by name.
func signingPrograms(t *testing.T) map[string]string {
	t.Helper()
	programs := map[string]string{}
	for _, name := range []string{"unbound", "ldns-keygen", "ldns-signzone"} {
		path, err := exec.LookPath(name)
		if err != nil {
			if os.Getenv("POSTHOUSE_NEED_PEERS") == "1" {
				t.Fatalf("%s is not installed: run test/install.sh", name)
			}
			t.Skipf("%s is not installed", name)
		}
		programs[name] = path
	}
	return programs
}

// sign makes a zone and returns the key by which it is known.
func (x *exchange) sign(t *testing.T, programs map[string]string, z *signedZone, right string) (anchor string) {
	t.Helper()
	text := fmt.Sprintf("$ORIGIN %[1]s.\n$TTL 60\n@ IN SOA ns.%[1]s. h.%[1]s. 1 3600 600 86400 60\n@ IN NS ns\nns IN A %[2]s1\n", z.name, x.net)
	if z.text == "" {
		text += "@ IN MX 10 mx\nmx IN A " + x.addr("b") + "\n"
	}
	text += z.text
	if z.tlsa != "" {
		text += "_25._tcp.mx IN TLSA " + strings.ReplaceAll(z.tlsa, "RIGHT", right) + "\n"
	}
	file := writeFile(t, filepath.Join(x.dir, z.name), "%s", text)
	if !z.signed {
		return ""
	}
	base := strings.TrimSpace(tool(t, x.dir, programs["ldns-keygen"], "-r", "/dev/urandom", "-a", "ECDSAP256SHA256", z.name))
	tool(t, x.dir, programs["ldns-signzone"], append(append([]string{"-f", file + ".signed"}, z.dates...), file, base)...)
	b, err := os.ReadFile(file + ".signed")
	if err != nil {
		t.Fatal(err)
	}
	text = string(b)
	for old, by := range z.forge {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in\n%s", old, text)
		}
		text = strings.ReplaceAll(text, old, strings.ReplaceAll(by, "RIGHT", strings.Fields(right)[3]))
	}
	writeFile(t, file, "%s", text)
	key, err := os.ReadFile(filepath.Join(x.dir, base+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// unbound starts the resolver of all hosts, which is the zones' server at once and asks
// nobody else.
func (x *exchange) unbound(t *testing.T, path string, zones []signedZone, anchors string) {
	t.Helper()
	// A copy: the original may be confined to its own directories.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(x.dir, "unbound")
	if err := os.WriteFile(binary, b, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("server:\n interface: %[1]s1@53\n access-control: 0.0.0.0/0 allow\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: %[2]q\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n"+
		" num-threads: 1\n module-config: \"validator iterator\"\n val-log-level: 2\n trust-anchor-signaling: no\n trust-anchor-file: %[3]q\n local-zone: \".\" static\n", x.net, x.dir, writeFile(t, filepath.Join(x.dir, "anchors"), "%s", anchors))
	for _, z := range zones {
		conf += fmt.Sprintf(" local-zone: \"%s.\" transparent\n", z.name)
	}
	for _, z := range zones {
		conf += fmt.Sprintf("auth-zone:\n name: %[1]s\n zonefile: %[1]q\n for-downstream: no\n for-upstream: yes\n fallback-enabled: no\n", z.name)
	}
	out, err := os.Create(filepath.Join(x.dir, "unbound.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	said := func() string {
		b, _ := os.ReadFile(out.Name())
		return string(b)
	}
	cmd := exec.Command(binary, "-d", "-c", writeFile(t, filepath.Join(x.dir, "unbound.conf"), "%s", conf))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("unbound said:\n%s", said())
		}
	})
	c := dns.New(dns.Options{Servers: []dns.Server{{Addr: netip.MustParseAddrPort(x.net + "1:53"), TrustAD: true}}})
	defer c.Close()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // polling, bounded
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		a, err := c.LookupMX(ctx, zones[0].name)
		cancel()
		if err == nil && a.Secure {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("unbound does not answer: %+v, %v\n%s", a, err, said())
		}
	}
}
