package directory

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

const day = 24 * time.Hour

// oneRSA is the RSA key of all tests but one: making it takes long.
var oneRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func sameRSA(io.Reader, int) (*rsa.PrivateKey, error) { return oneRSA() }

// stand spells the keys as "selector:state".
func stand(keys []SigningKey) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Selector+":"+k.State.String())
	}
	return strings.Join(list, " ")
}

// A key goes through its life only as far as DNS and time allow, and every step
// survives a restart.
func TestRotation(t *testing.T) {
	eng := mem.New()
	d, clk := open(t, eng)
	d.newRSA = sameRSA
	ctx := t.Context()
	must(d.AddDomain(ctx, "demo.test"))(t)
	rules := KeyRules{Rotate: 180 * day, Settle: time.Hour, Keep: 8 * day}
	dns := map[string]Sight{}
	step := func(want string, fresh bool) {
		t.Helper()
		again, err := Open(ctx, eng, Options{Hash: cheap, HashMemory: 1 << 20, ProofIterations: -1, Now: clk.Now}) // as after a restart
		if err != nil {
			t.Fatal(err)
		}
		again.newRSA = sameRSA
		keys, _, err := again.AdvanceKeys(ctx, "demo.test", rules, dns, fresh)
		if err != nil || stand(keys) != want {
			t.Fatalf("%s, %v; want %s", stand(keys), err, want)
		}
		if kept := must(again.SigningKeys(ctx, "demo.test"))(t); stand(kept) != want {
			t.Fatalf("kept: %s", stand(kept))
		}
	}
	step("", true) // a domain that does not sign gets no keys by itself
	must(d.EnsureSigningKeys(ctx, "demo.test"))(t)
	step("202701r:active 202701e:active", false)
	clk.advance(180 * day)
	step("202701r:active 202701e:active 202707r:announced 202707e:announced", false)
	clk.advance(30 * day) // nobody publishes: the old ones sign on
	dns["202707r"], dns["202707e"] = Absent, Absent
	step("202701r:active 202701e:active 202707r:announced 202707e:announced", false)
	dns["202707r"] = Present // only one of them, and it must stay
	step("202701r:active 202701e:active 202707r:announced 202707e:announced", false)
	clk.advance(30 * time.Minute)
	dns["202707r"] = Absent
	step("202701r:active 202701e:active 202707r:announced 202707e:announced", false)
	dns["202707r"] = Present
	clk.advance(30 * time.Minute)
	step("202701r:active 202701e:active 202707r:announced 202707e:announced", false)
	clk.advance(time.Hour)
	dns["202707r"] = Unknown // DNS is down: no reason to change anything
	step("202701r:active 202701e:active 202707r:announced 202707e:announced", false)
	dns["202707r"] = Present
	retired := clk.Now()
	step("202701r:retiring 202701e:active 202707r:active 202707e:announced", false)
	clk.advance(9 * day)
	rules.Waiting = retired.Add(-day) // a held message of before
	step("202701r:retiring 202701e:active 202707r:active 202707e:announced", false)
	rules.Waiting = retired.Add(day)
	dns["202701r"] = Present
	step("202701r:retired 202701e:active 202707r:active 202707e:announced", false)
	if k := must(d.SigningKeys(ctx, "demo.test"))(t)[0]; k.Private != nil {
		t.Error("the private key is still there")
	}
	step("202701r:retired 202701e:active 202707r:active 202707e:announced", true) // those are the new ones
	dns["202701r"], dns["202707e"] = Absent, Present
	step("202701e:active 202707r:active 202707e:announced", false)
	clk.advance(time.Hour)
	step("202701e:retiring 202707r:active 202707e:active", false)
	step("202701e:retiring 202707r:active 202707e:active 202708r:announced 202708e:announced", true)
	if err := d.KeysTold(ctx, "demo.test", []string{"202708r"}, clk.Now()); err != nil {
		t.Fatal(err)
	}
	if k := must(d.SigningKeys(ctx, "demo.test"))(t); !k[3].Told.Equal(time.Unix(clk.Now().Unix(), 0)) || !k[4].Told.IsZero() {
		t.Errorf("told: %v, %v", k[3].Told, k[4].Told)
	}
	if _, _, err := d.AdvanceKeys(ctx, "away.test", rules, dns, true); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
}

// Two processes that announce at once make one pair; selectors of a month are not used
// twice.
func TestRotationAtOnce(t *testing.T) {
	eng := mem.New()
	d, clk := open(t, eng)
	d.newRSA = sameRSA
	ctx := t.Context()
	must(d.AddDomain(ctx, "demo.test"))(t)
	must(d.EnsureSigningKeys(ctx, "demo.test"))(t)
	var wg sync.WaitGroup
	for range 3 {
		other, _ := open(t, eng)
		other.newRSA = sameRSA
		wg.Go(func() {
			if _, _, err := other.AdvanceKeys(ctx, "demo.test", KeyRules{}, nil, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := "202701r:active 202701e:active 202701r2:announced 202701e2:announced"
	keys := must(d.SigningKeys(ctx, "demo.test"))(t)
	if stand(keys) != want {
		t.Fatalf("%s", stand(keys))
	}
	clk.advance(time.Hour)
	seen := map[string]Sight{"202701r2": Present, "202701e2": Present}
	if keys, _, err := d.AdvanceKeys(ctx, "demo.test", KeyRules{Keep: day}, seen, false); err != nil || stand(keys) != "202701r:retiring 202701e:retiring 202701r2:active 202701e2:active" {
		t.Fatalf("%s, %v", stand(keys), err)
	}
	keys, _, err := d.AdvanceKeys(ctx, "demo.test", KeyRules{Keep: day}, seen, true)
	if err != nil || !slices.ContainsFunc(keys, func(k SigningKey) bool { return k.Selector == "202701r3" && k.State == KeyAnnounced && !k.Ed25519() }) {
		t.Fatalf("%s, %v", stand(keys), err)
	}
}

// Keys that were written before there were states are active.
func TestKeysOfBefore(t *testing.T) {
	eng := mem.New()
	d, _ := open(t, eng)
	ctx := t.Context()
	must(d.AddDomain(ctx, "demo.test"))(t)
	err := d.change(ctx, "test", nil, func(c *change) error {
		c.set(signingKey("demo.test"), map[string]any{"keys": []map[string]any{{"selector": "202601r", "private": []byte("x"), "created": 1_770_000_000}}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k := must(d.SigningKeys(ctx, "demo.test"))(t)
	if len(k) != 1 || k[0].State != KeyActive || !k[0].Since.Equal(k[0].Created) || string(k[0].Private) != "x" {
		t.Errorf("%+v", k)
	}
}
