package delivery

import (
	"testing"

	"posthouse/mail"
	"posthouse/report"
)

// A report to an address for reports is delivered and kept, by one commit; elsewhere it
// is mail like any other.
func TestReportsAreKept(t *testing.T) {
	var log *report.Log
	h := newHouse(t, func(o *Options) {
		o.ReportAddresses = []mail.Address{{Local: "postmaster"}, addr("ben@demo.test")}
	})
	log = report.Open(h.eng, nil)
	h.svc.opts.Reports = log
	text := "From: Far <r@far.test>\r\nContent-Type: application/tlsrpt+json\r\n\r\n" +
		`{"policies":[{"policy":{"policy-domain":"demo.test"},"summary":{"total-successful-session-count":3}}]}` + "\r\n"
	for _, x := range []struct {
		to   string
		want int
	}{{"ada@demo.test", 0}, {"ben@demo.test", 1}, {"postmaster@demo.test", 2}, {"Ben+tls@demo.test", 2}} {
		if r := h.send(&Session{Origin: FromMX, Hello: "mx.far.test"}, "r@far.test", []string{x.to}, text).Accept(t.Context()); !r.Positive() {
			t.Fatal(r)
		}
		n := 0
		must(t, log.List(t.Context(), func(r report.Report) bool {
			n++
			if r.From != "r@far.test" || r.Good != 3 {
				t.Errorf("%+v", r)
			}
			return true
		}))
		if n != x.want {
			t.Errorf("after mail to %s %d are kept, want %d", x.to, n, x.want)
		}
	}
	if r := h.send(&Session{Origin: FromMX}, "r@far.test", []string{"ben@demo.test"}, "Content-Type: application/tlsrpt+json\r\n\r\n{").Accept(t.Context()); !r.Positive() {
		t.Errorf("a report that cannot be read: %v", r)
	}
}
