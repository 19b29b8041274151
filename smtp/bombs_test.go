package smtp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"posthouse/delivery"
	"posthouse/dns"
	"posthouse/dns/dnstest"
	"posthouse/store/engine/mem"
)

// nested is n messages, each the only part of the one before.
func nested(n int) string {
	return strings.Repeat("Content-Type: message/rfc822\r\n\r\n", n) + "From: a@far.test\r\n\r\nat last\r\n"
}

// multiparts is n multiparts within each other, each with a boundary of its own.
func multiparts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return b.String() + "\r\nx\r\n"
}

// bombs are messages that cost much to whoever is not careful. Each has one From but for
// those that are about it.
var bombs = []struct{ name, text string }{
	{"nested messages", "From: a@far.test\r\n" + nested(30_000)},
	{"nested multiparts", "From: a@far.test\r\n" + multiparts(20_000)},
	{"parts", "From: a@far.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 120_000)},
	{"boundary lines", "From: a@far.test\r\nContent-Type: multipart/mixed; boundary=" + strings.Repeat("-", 70) + "\r\n\r\n" + strings.Repeat(strings.Repeat("-", 71)+"\r\n", 12_000)},
	{"fields", "From: a@far.test\r\n" + strings.Repeat("a:\r\n", 200_000) + "\r\n"},
	{"one field", "From: a@far.test\r\nSubject: " + strings.Repeat("x\r\n ", 200_000) + "\r\n\r\n"},
	{"addresses", "From: a@far.test\r\nTo: " + strings.Repeat("a@b.test,\r\n ", 75_000) + "c@d.test\r\n\r\n"},
	{"comments", "From: a@far.test " + strings.Repeat("(", 400_000) + "\r\n\r\n"},
	{"groups", "From: " + strings.Repeat("a:", 300_000) + ";\r\n\r\n"},
	{"authors", "From: " + strings.Repeat("a@b.test,", 90_000) + "c@d.test\r\n\r\n"},
	{"From fields", strings.Repeat("From: a@far.test\r\n", 40_000) + "\r\n"},
	{"encoded words", "From: a@far.test\r\nSubject: " + strings.Repeat("=?utf-8?q?=41?=\r\n ", 45_000) + "\r\n\r\n"},
	{"half encoded words", "From: a@far.test\r\nSubject: " + strings.Repeat("=?", 400_000) + "\r\n\r\n"},
	{"References", "From: a@far.test\r\nReferences: " + strings.Repeat("<a@b>\r\n ", 90_000) + "\r\n\r\n"},
	{"parameters", "From: a@far.test\r\nContent-Type: text/plain" + strings.Repeat("; a*0*=''x", 80_000) + "\r\n\r\n"},
	{"signatures", "From: a@far.test\r\n" + strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; d=far.test; s=s; h=from; bh=AAAA; b=AAAA\r\n", 9_000) + "\r\n"},
	{"h= of a signature", "From: a@far.test\r\nDKIM-Signature: v=1; a=rsa-sha256; d=far.test; s=s; bh=AAAA; b=AAAA; h=from" + strings.Repeat(":to", 250_000) + "\r\n\r\n"},
	{"tags of a signature", "From: a@far.test\r\nDKIM-Signature: v=1; a=rsa-sha256; d=far.test; s=s; h=from; bh=AAAA; b=AAAA" + strings.Repeat("; x=y", 150_000) + "\r\n\r\n"},
	{"seals", "From: a@far.test\r\n" + strings.Repeat("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=far.test; s=s; b=AAAA\r\n", 12_000) + "\r\n"},
	{"results", "From: a@far.test\r\n" + strings.Repeat("Authentication-Results: mx.demo.test; spf=pass\r\n", 18_000) + "\r\n"},
	{"comments in results", "From: a@far.test\r\nAuthentication-Results: " + strings.Repeat("(", 400_000) + "mx.demo.test; spf=pass\r\n\r\n"},
}

// A bomb is answered in time, costs no more memory than a multiple of its size, and the
// connection goes on: whether it is taken or refused is the checks' matter.
func TestBombs(t *testing.T) {
	zone := "far.test. MX 10 far.test.\nfar.test. A 192.0.2.1\nfar.test. TXT \"v=spf1 ip4:127.0.0.1 -all\"\n_dmarc.far.test. TXT \"v=DMARC1; p=none\"\n"
	checks := &delivery.Checks{Resolver: dnstest.New(t, zone).Client(t, dns.Options{Timeout: 20 * time.Second})}
	h := newCheckingHouse(t, mem.New(), checks, nil)
	to := h.listen(MX)
	for _, bomb := range bombs {
		nc, err := net.Dial("tcp", to)
		must(t, err)
		must(t, nc.SetDeadline(time.Now().Add(2*time.Minute)))
		r := bufio.NewReader(nc)
		c := benchClient{nc, r}
		c.say("EHLO client.test\r\n", 2)
		c.say("MAIL FROM:<eve@far.test>\r\nRCPT TO:<ada@demo.test>\r\nDATA\r\n", 3)
		before := allocated()
		_, err = io.WriteString(nc, bomb.text+".\r\n")
		must(t, err)
		line, err := r.ReadString('\n')
		must(t, err)
		if got := allocated() - before; got > 64*uint64(len(bomb.text))+32<<20 {
			t.Errorf("%s: %d bytes for %d", bomb.name, got, len(bomb.text))
		}
		t.Logf("%s: %.80s", bomb.name, line)
		if line[0] != '2' && line[0] != '5' {
			t.Errorf("%s: %s", bomb.name, line)
		}
		if _, err = io.WriteString(nc, "NOOP\r\n"); err == nil {
			line, err = r.ReadString('\n')
		}
		if err != nil || !strings.HasPrefix(line, "250") {
			t.Errorf("%s: afterwards %q, %v", bomb.name, line, err)
		}
		nc.Close()
	}
}

// allocated is how much this process ever took.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
