package server

import (
	"net"
	"regexp"
	"testing"
)

// TestJMAPURL: IMAP tells where JMAP is once it is served with TLS, and only then.
func TestJMAPURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{hostname: "mx.example.org", bound: []Bound{{"http", l}}}
	if u := s.jmapURL(); u != "" {
		t.Errorf("without https: %q", u)
	}
	s.bound = append(s.bound, Bound{"https", l})
	if u := s.jmapURL(); !regexp.MustCompile(`^https://mx\.example\.org:\d+/\.well-known/jmap$`).MatchString(u) {
		t.Errorf("with https: %q", u)
	}
}
