package admin

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestDomainRecords(t *testing.T) {
	s := system(t)
	if err := s.Local().Call(t.Context(), "domain.records", Named{Name: "example.org"}, &Records{}); err == nil {
		t.Error("records of a domain that is not here")
	}
	run[Domain](t, s.Local(), "domain.add", Named{Name: "bücher.example"})
	got := run[Records](t, s.Local(), "domain.records", Named{Name: "bücher.example"})
	var lines []string
	for _, r := range got.Records {
		if r.Reason == "" {
			t.Errorf("%s has no reason", r.Name)
		}
		value, _, _ := strings.Cut(r.Value, " p=M") // an RSA key
		lines = append(lines, r.Name+" "+r.Type+" "+value)
	}
	for _, want := range []string{"xn--bcher-kva.example MX 10 mx.example.org", "xn--bcher-kva.example TXT v=spf1 mx -all", "mx.example.org TXT v=spf1 a -all",
		"_dmarc.xn--bcher-kva.example TXT v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@xn--bcher-kva.example"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	keys := 0
	for _, l := range lines {
		if strings.Contains(l, "._domainkey.xn--bcher-kva.example TXT v=DKIM1; k=") {
			keys++
		}
	}
	if keys != 2 {
		t.Errorf("%d keys in %q", keys, lines)
	}
	if again := run[Records](t, s.Local(), "domain.records", Named{Name: "bücher.example"}); !reflect.DeepEqual(again.Records, got.Records) {
		t.Errorf("other records: %v", again)
	}
}

func TestDomainCheck(t *testing.T) {
	s := system(t)
	run[Domain](t, s.Local(), "domain.add", Named{Name: "example.org"})
	got := run[DomainFindings](t, s.Local(), "domain.check", Named{Name: "example.org"})
	if got.Errors == 0 || len(got.Findings) < got.Errors+got.Warnings || got.Findings[0].Check != "mx" || got.Findings[0].Fix == "" {
		t.Errorf("%+v", got)
	}
	if err := s.Local().Call(t.Context(), "domain.check", Named{Name: "far.test"}, &DomainFindings{}); err == nil {
		t.Error("a domain that is not here")
	}
}
