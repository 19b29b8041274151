package dns

import (
	"bufio"
	"bytes"
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// resolvConf is resolv.conf(5), of which we take nameserver and trust-ad. Search
// lists would send mail to the wrong place.
type resolvConf struct {
	path string

	mu      sync.Mutex
	checked time.Time
	mtime   time.Time
	servers []Server
	err     error
}

// recheck is how often the file is looked at.
const recheck = 5 * time.Second

// maxServers is that of resolv.conf(5).
const maxServers = 3

func (c *Client) servers() ([]Server, error) {
	if len(c.opt.Servers) > 0 {
		return c.opt.Servers, nil
	}
	return c.conf.load(c.opt.Now())
}

func (r *resolvConf) load(now time.Time) ([]Server, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.checked); !r.checked.IsZero() && d >= 0 && d < recheck {
		return r.servers, r.err
	}
	r.checked = now
	info, err := os.Stat(r.path)
	if errors.Is(err, os.ErrNotExist) {
		r.servers, r.err = parseResolvConf(nil), nil
		return r.servers, nil
	}
	if err == nil && r.err == nil && r.servers != nil && info.ModTime().Equal(r.mtime) {
		return r.servers, nil
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(r.path)
	}
	if r.err = err; err == nil {
		r.servers, r.mtime = parseResolvConf(b), info.ModTime()
	}
	return r.servers, r.err
}

// parseResolvConf never fails; without a server it is 127.0.0.1, as for libc.
func parseResolvConf(b []byte) []Server {
	var servers []Server
	trust := false
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		line := sc.Text()
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if ip, err := netip.ParseAddr(f[1]); err == nil && len(servers) < maxServers {
				servers = append(servers, Server{Addr: netip.AddrPortFrom(ip, 53)})
			}
		case "options":
			for _, o := range f[1:] {
				trust = trust || o == "trust-ad"
			}
		}
	}
	if len(servers) == 0 {
		servers = []Server{{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}}
	}
	for i := range servers {
		servers[i].TrustAD = trust
	}
	return servers
}
