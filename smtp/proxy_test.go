package smtp

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posthouse/store/engine/mem"
)

func TestReadProxy(t *testing.T) {
	v2 := func(command, family byte, body string) string {
		return string(proxyMagic) + string([]byte{0x20 | command, family<<4 | 1, byte(len(body) >> 8), byte(len(body))}) + body
	}
	four := "\xc0\x00\x02\x01\x7f\x00\x00\x01\x04\xd2\x00\x19"
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x07" + strings.Repeat("\x00", 20)
	for _, tt := range []struct {
		name, in string
		want     string // "": fails, "-": no address
	}{
		{"version 1", "PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\r\n", "192.0.2.1"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 ::1 1234 25\r\n", "2001:db8::7"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "-"},
		{"version 1, unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "-"},
		{"wrong family", "PROXY TCP6 192.0.2.1 127.0.0.1 1234 25\r\n", ""},
		{"too few", "PROXY TCP4 192.0.2.1 127.0.0.1 1234\r\n", ""},
		{"too long", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
		{"no end", "PROXY TCP4 192.0.2.1", ""},
		{"none", "EHLO client.test\r\n", ""},
		{"version 2", v2(1, 1, four), "192.0.2.1"},
		{"version 2, IPv6", v2(1, 2, six), "2001:db8::7"},
		{"version 2 with more", v2(1, 1, four+"\x04\x00\x01x"), "192.0.2.1"},
		{"version 2, local", v2(0, 0, ""), "-"},
		{"version 2, socket", v2(1, 3, strings.Repeat("x", 216)), "-"},
		{"version 2, short", v2(1, 1, four[:11]), ""},
		{"version 2, unknown command", v2(2, 1, four), ""},
		{"version 2, huge", v2(1, 1, strings.Repeat("x", 5000)), ""},
		{"version 3", strings.Replace(v2(1, 1, four), "\x21", "\x31", 1), ""},
		{"half a magic", string(proxyMagic[:9]), ""},
	} {
		r := strings.NewReader(tt.in + "REST")
		if tt.want == "" {
			r = strings.NewReader(tt.in)
		}
		a, err := readProxy(r)
		got := a.String()
		switch {
		case err != nil:
			got = ""
		case !a.IsValid():
			got = "-"
		}
		if got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
		if rest, _ := io.ReadAll(r); err == nil && string(rest) != "REST" {
			t.Errorf("%s: left %q", tt.name, rest)
		}
	}
}

func FuzzReadProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\r\nx"))
	f.Add(append(bytes.Clone(proxyMagic), 0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		_, err := readProxy(r)
		if taken := len(b) - r.Len(); err == nil && taken > 16+maxProxyBody {
			t.Errorf("took %d octets", taken)
		}
	})
}

// A proxy's client is who is named and counted; a proxy that does not say is refused.
func TestProxy(t *testing.T) {
	h := newHouse(t, mem.New(), func(o *Options) {
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Limits.ConnectionsPerAddress = 1
	})
	address := h.listen(MX)
	dial := func(first string) (net.Conn, *bufio.Reader) {
		nc, err := net.Dial("tcp", address)
		must(t, err)
		t.Cleanup(func() { nc.Close() })
		must(t, nc.SetDeadline(time.Now().Add(time.Minute)))
		_, err = io.WriteString(nc, first)
		must(t, err)
		return nc, bufio.NewReader(nc)
	}
	one, r := dial("PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\r\nHELO x\r\n")
	readTo(t, r, "220")
	readTo(t, r, "250")
	_, err := io.WriteString(one, "MAIL FROM:<eve@far.test>\r\nRCPT TO:<ben@demo.test>\r\nDATA\r\n")
	must(t, err)
	readTo(t, r, "354")
	_, err = io.WriteString(one, "Subject: x\r\n\r\n.\r\n")
	must(t, err)
	readTo(t, r, "250 2.0.0")
	if got := h.inbox("ben@demo.test"); len(got) != 1 || !strings.Contains(got[0], "from x ([192.0.2.1])") {
		t.Errorf("%q", got)
	}
	_, r = dial("PROXY TCP4 192.0.2.1 127.0.0.1 1234 25\r\n") // its second, of one that it may have
	readTo(t, r, "421")
	_, r = dial("PROXY TCP4 192.0.2.2 127.0.0.1 1234 25\r\n")
	readTo(t, r, "220")
	_, r = dial("EHLO client.test\r\n")
	if line, err := r.ReadString('\n'); err == nil {
		t.Errorf("was greeted: %q", line)
	}
}
