// Package dnstest is a real DNS server for tests, on a free port of loopback,
// with zones given as text and faults on demand. It behaves like a recursive
// resolver that knows only these zones. Tests only.
package dnstest

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"posthouse/dns"
)

// A Fault is how the server misbehaves for a name.
type Fault struct {
	Rcode     int           // answer with this code, as mdns.RcodeServerFailure
	Silent    bool          // do not answer
	Truncate  bool          // answer over UDP is cut; TCP is right
	Truncated bool          // as Truncate, and TCP does not answer
	Slow      time.Duration // answer this much later
	WrongID   bool          // answer with another id
	Empty     bool          // no records, no SOA, code 0
}

// ServFail is the Fault of a resolver that cannot.
var ServFail = Fault{Rcode: mdns.RcodeServerFailure}

// A Server serves its zones until the test ends.
type Server struct {
	Addr netip.AddrPort

	mu      sync.Mutex
	rrs     map[string][]mdns.RR // by owner, lower case with dot
	faults  map[string]Fault     // by owner, or owner and type
	secure  []string             // suffixes
	queries map[string]int
}

// New starts a server with the given zone text: records in the form of RFC 1035
// §5.1, names relative to the root, "$TTL 60" unless it says otherwise.
func New(t testing.TB, zone string) *Server {
	t.Helper()
	return NewOn(t, "127.0.0.1:0", zone)
}

// NewOn is New at an address, for other programs to ask.
func NewOn(t testing.TB, addr, zone string) *Server {
	t.Helper()
	s := &Server{faults: map[string]Fault{}, queries: map[string]int{}}
	s.SetZone(t, zone)
	pc, l := listen(t, addr)
	s.Addr = pc.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, srv := range []*mdns.Server{{PacketConn: pc, Handler: s}, {Listener: l, Handler: s}} {
		up, down := make(chan struct{}), make(chan struct{})
		srv.NotifyStartedFunc = func() { close(up) }
		go func() {
			defer close(down)
			_ = srv.ActivateAndServe()
		}()
		<-up
		t.Cleanup(func() {
			_ = srv.Shutdown()
			<-down
		})
	}
	return s
}

// listen finds a port that is free for both UDP and TCP.
func listen(t testing.TB, addr string) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 20 {
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err != nil {
			continue
		}
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			return pc, l
		}
		_ = l.Close()
	}
	t.Fatalf("dnstest: %v", err)
	return nil, nil
}

// Client returns a dns.Client that asks s, closed when the test ends. Zero fields
// of opt other than Servers are taken as dns.New takes them, with short time-outs.
func (s *Server) Client(t testing.TB, opt dns.Options) *dns.Client {
	t.Helper()
	opt.Servers = []dns.Server{{Addr: s.Addr}}
	if opt.Timeout == 0 {
		opt.Timeout = 300 * time.Millisecond
	}
	c := dns.New(opt)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// SetZone replaces all records.
func (s *Server) SetZone(t testing.TB, zone string) {
	t.Helper()
	rrs := map[string][]mdns.RR{}
	p := mdns.NewZoneParser(strings.NewReader("$TTL 60\n"+zone), ".", "zone")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		name := strings.ToLower(rr.Header().Name)
		rrs[name] = append(rrs[name], rr)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("dnstest: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rrs = rrs
}

// SetFault sets the fault for name and qtype ("MX"; "" is all types). The zero
// Fault ends it.
func (s *Server) SetFault(name, qtype string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := faultKey(mdns.Fqdn(strings.ToLower(name)), qtype)
	if f == (Fault{}) {
		delete(s.faults, key)
		return
	}
	s.faults[key] = f
}

func faultKey(name, qtype string) string { return name + " " + qtype }

// SetSecure makes answers for names at and below domain carry the AD bit.
func (s *Server) SetSecure(domain string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secure = append(s.secure, mdns.Fqdn(strings.ToLower(domain)))
}

// Queries returns how often name was asked for records of qtype, each try counted.
func (s *Server) Queries(name, qtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries[faultKey(mdns.Fqdn(strings.ToLower(name)), qtype)]
}

// ServeDNS implements the handler of the DNS library.
func (s *Server) ServeDNS(w mdns.ResponseWriter, r *mdns.Msg) {
	if len(r.Question) != 1 {
		return
	}
	q := r.Question[0]
	name, qtype := strings.ToLower(q.Name), mdns.TypeToString[q.Qtype]
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	s.mu.Lock()
	s.queries[faultKey(name, qtype)]++
	f, ok := s.faults[faultKey(name, qtype)]
	if !ok {
		f = s.faults[faultKey(name, "")]
	}
	m := s.answerLocked(r, name, q.Qtype)
	s.mu.Unlock()
	if f.Silent || f.Truncated && !udp {
		return
	}
	if f.Rcode != 0 || f.Empty {
		m.Rcode, m.Answer, m.Ns = f.Rcode, nil, nil
	}
	if (f.Truncate || f.Truncated) && udp {
		m.Truncated, m.Answer = true, nil
	}
	if f.WrongID {
		m.Id++
	}
	if f.Slow > 0 {
		time.Sleep(f.Slow)
	}
	if udp {
		size := mdns.MinMsgSize
		if o := r.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m)
}

func (s *Server) answerLocked(r *mdns.Msg, name string, qtype uint16) *mdns.Msg {
	m := new(mdns.Msg)
	m.SetReply(r)
	m.RecursionAvailable = true
	secure := true
	for range 8 {
		secure = secure && s.secureLocked(name)
		rrs, exists := s.atLocked(name)
		alias := ""
		found := false
		for _, rr := range rrs {
			if cname, ok := rr.(*mdns.CNAME); ok && qtype != mdns.TypeCNAME {
				alias = strings.ToLower(cname.Target)
				m.Answer = append(m.Answer, rr)
			} else if rr.Header().Rrtype == qtype {
				m.Answer = append(m.Answer, rr)
				found = true
			}
		}
		if found {
			break
		}
		if alias == "" {
			if !exists {
				m.Rcode = mdns.RcodeNameError
			}
			m.Ns = append(m.Ns, soa())
			break
		}
		name = alias
	}
	o := r.IsEdns0()
	m.AuthenticatedData = secure && (r.AuthenticatedData || o != nil && o.Do())
	return m
}

// atLocked returns the records at name, from a wildcard if need be, and whether
// the name exists, as an empty non-terminal does.
func (s *Server) atLocked(name string) ([]mdns.RR, bool) {
	if rrs, ok := s.rrs[name]; ok {
		return rrs, true
	}
	for owner := range s.rrs {
		if strings.HasSuffix(owner, "."+name) {
			return nil, true
		}
	}
	for rest := name; ; {
		_, up, ok := strings.Cut(rest, ".")
		if !ok || up == "" {
			return nil, false
		}
		if rrs, ok := s.rrs["*."+up]; ok {
			out := make([]mdns.RR, len(rrs))
			for i, rr := range rrs {
				out[i] = mdns.Copy(rr)
				out[i].Header().Name = name
			}
			return out, true
		}
		rest = up
	}
}

func (s *Server) secureLocked(name string) bool {
	for _, suffix := range s.secure {
		if name == suffix || strings.HasSuffix(name, "."+suffix) {
			return true
		}
	}
	return false
}

func soa() mdns.RR {
	return &mdns.SOA{Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: 60},
		Ns: "ns.test.", Mbox: "hostmaster.test.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 60}
}
