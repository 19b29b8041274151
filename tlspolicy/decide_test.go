package tlspolicy

import (
	"testing"

	"posthouse/tlspolicy/mtasts"
)

// TestDecisions has each case once, and every combination of facts fall on a row that
// keeps what its policy promises.
func TestDecisions(t *testing.T) {
	for _, tt := range []struct {
		name  string
		in    facts
		kind  kind
		out   string
		final bool
	}{
		{"nothing known", facts{}, opportunistic, "", false},
		{"dane", facts{mxSecure: true, dane: daneUsable}, daneVerify, "", false},
		{"dane before mta-sts", facts{dane: daneUsable, sts: mtasts.Enforce}, daneVerify, "", false},
		{"tlsa lookup fails", facts{dane: daneBroken}, daneFail, "tlsa-lookup-failed", false},
		{"no usable tlsa", facts{dane: daneUnusable}, daneEncrypt, "", false},
		{"no usable tlsa, mta-sts", facts{dane: daneUnusable, sts: mtasts.Enforce, covered: true}, stsVerify, "", false},
		{"mta-sts", facts{sts: mtasts.Enforce, covered: true}, stsVerify, "", false},
		{"mta-sts, another host", facts{sts: mtasts.Enforce}, stsFail, "mx-mismatch", false},
		{"mta-sts testing", facts{sts: mtasts.Testing}, stsTest, "", false},
		{"requiretls, nothing known", facts{need: NeedTLS}, opportunistic, "requiretls", true},
		{"requiretls, mx secure", facts{need: NeedTLS, mxSecure: true}, pkixVerify, "", false},
		{"requiretls, mta-sts", facts{need: NeedTLS, sts: mtasts.Enforce, covered: true}, stsVerify, "", false},
		{"requiretls, mta-sts testing", facts{need: NeedTLS, sts: mtasts.Testing, covered: true}, pkixVerify, "", false},
		{"requiretls, dane", facts{need: NeedTLS, dane: daneUsable}, daneVerify, "", false},
		{"requiretls, no usable tlsa", facts{need: NeedTLS, mxSecure: true, dane: daneUnusable}, daneFail, "tlsa-unusable", true},
		{"tls-required: no", facts{need: NeedDelivery, dane: daneBroken, sts: mtasts.Enforce}, opportunistic, "", false},
	} {
		if got := decide(tt.in); got.kind != tt.kind || got.exclude != tt.out || got.final != tt.final {
			t.Errorf("%s: %s %q %v", tt.name, got.kind.name(), got.exclude, got.final)
		}
	}
	weak := map[kind]bool{opportunistic: true, stsTest: true}
	for n := range 3 * 2 * 4 * 3 * 2 {
		f := facts{need: Need(n % 3), mxSecure: n/3%2 == 0, dane: daneState(n / 6 % 4), sts: mtasts.Mode(n / 24 % 3), covered: n/72 == 0}
		got := decide(f)
		verified := got.exclude != "" || got.kind == daneVerify || got.kind == stsVerify || got.kind == pkixVerify
		switch {
		case f.need == NeedDelivery:
			if got.exclude != "" || !weak[got.kind] {
				t.Errorf("%+v: kept back", f)
			}
		case f.need == NeedTLS && !verified, f.sts == mtasts.Enforce && !verified, f.dane == daneUsable && got.kind != daneVerify,
			f.dane == daneUnusable && weak[got.kind] && got.exclude == "", f.dane == daneBroken && got.exclude == "":
			t.Errorf("%+v: %s", f, got.kind.name())
		}
	}
}
