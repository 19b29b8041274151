package smtp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"time"
)

// The PROXY protocol of HAProxy, versions 1 and 2 (proxy-protocol.txt): a proxy that
// passes connections on says in front of the first byte from whom they are. Connections
// from the hosts of Options.Proxies must begin with it, and those of nobody else may.

const (
	proxyTime    = 10 * time.Second
	maxProxyLine = 107     // of version 1, with CRLF
	maxProxyBody = 4 << 10 // of version 2: addresses and what else proxies add
)

var (
	proxyMagic    = []byte("\r\n\r\n\x00\r\nQUIT\n")
	errProxy      = errors.New("smtp: no PROXY header where one must be")
	errProxyMagic = errors.New("smtp: PROXY header of an unknown version")
)

// proxied reads the header, if the peer is a proxy, and makes the session that of its
// client. It is false if the connection is of no use.
func (c *conn) proxied() bool {
	if !contains(c.opts.Proxies, c.session.Remote) {
		return true
	}
	if c.raw.SetReadDeadline(time.Now().Add(proxyTime)) != nil {
		return false
	}
	from, err := readProxy(c.raw)
	if err != nil {
		c.opts.Logger.Info("connection of a proxy refused", "face", c.face.name, "remote", c.session.Remote, "err", err)
		return false
	}
	if from.IsValid() && !c.become(from) {
		c.srv.stats.turned.Add(1)
		c.write(replyBusy)
		c.giveUp()
		return false
	}
	return true
}

// readProxy reads a header and not one octet more. The address is not valid if the
// proxy speaks for itself, or cannot say for whom.
func readProxy(r io.Reader) (netip.Addr, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head[:8]); err != nil {
		return netip.Addr{}, err
	}
	if bytes.HasPrefix(head, []byte("PROXY ")) {
		return readProxy1(r, head[:8])
	}
	if !bytes.Equal(head[:8], proxyMagic[:8]) {
		return netip.Addr{}, errProxy
	}
	if _, err := io.ReadFull(r, head[8:]); err != nil {
		return netip.Addr{}, err
	}
	size := int(binary.BigEndian.Uint16(head[14:]))
	if !bytes.HasPrefix(head, proxyMagic) || head[12]>>4 != 2 || size > maxProxyBody {
		return netip.Addr{}, errProxyMagic
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return netip.Addr{}, err
	}
	return clientOf(head[12]&15, head[13]>>4, body)
}

// clientOf reads the addresses of version 2.
func clientOf(command, family byte, body []byte) (netip.Addr, error) {
	switch {
	case command == 0: // LOCAL: a health check of the proxy
		return netip.Addr{}, nil
	case command != 1:
		return netip.Addr{}, errProxyMagic
	case family == 1 && len(body) >= 12:
		a, _ := netip.AddrFromSlice(body[:4]) // of a right length
		return a, nil
	case family == 2 && len(body) >= 36:
		a, _ := netip.AddrFromSlice(body[:16])
		return a.Unmap(), nil
	case family == 1 || family == 2:
		return netip.Addr{}, errProxy
	}
	return netip.Addr{}, nil // a socket, or not said
}

// readProxy1 reads the rest of a line of version 1.
func readProxy1(r io.Reader, line []byte) (netip.Addr, error) {
	var one [1]byte
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) >= maxProxyLine {
			return netip.Addr{}, errProxy
		}
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return netip.Addr{}, err
		}
		line = append(line, one[0])
	}
	f := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	switch {
	case len(f) >= 2 && f[1] == "UNKNOWN":
		return netip.Addr{}, nil
	case len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6":
		return netip.Addr{}, errProxy
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil || a.Is4() != (f[1] == "TCP4") || a.Zone() != "" {
		return netip.Addr{}, errProxy
	}
	return a.Unmap(), nil
}
