package report

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"posthouse/mailauth/dkim"
	"posthouse/mailauth/dmarc"
	"posthouse/mailauth/spf"
	"posthouse/store/engine/mem"
)

// BenchmarkRecord is what counting adds to the delivery of a message.
func BenchmarkRecord(b *testing.B) {
	eng := mem.New()
	defer eng.Close()
	t := OpenTally(TallyOptions{Engine: eng, DMARC: true, Delay: time.Hour})
	defer t.Close(context.Background())
	e := Evaluation{Source: netip.MustParseAddr("192.0.2.1"), EnvelopeFrom: "far.test", Policy: dmarc.Policy{From: "far.test", Domain: "far.test", Record: dmarc.Record{Aggregate: []string{"mailto:a@far.test"}}},
		SPF: spf.Result{Status: spf.Pass, Domain: "far.test"}, DKIM: []dkim.Result{{Status: dkim.Pass, Domain: "far.test", Selector: "s"}}}
	for b.Loop() {
		t.RecordDMARC(&e)
	}
}
