package directory

import (
	"sync"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

func TestSigningKeys(t *testing.T) {
	eng := mem.New()
	d, _ := open(t, eng)
	ctx := t.Context()
	if _, err := d.EnsureSigningKeys(ctx, "demo.test"); mail.KindOf(err) != mail.NotFound {
		t.Errorf("keys for a domain that is not here: %v", err)
	}
	must(d.AddDomain(ctx, "demo.test"))(t)
	if keys, err := d.SigningKeys(ctx, "demo.test"); err != nil || len(keys) != 0 {
		t.Errorf("%v, %v", keys, err)
	}
	var group sync.WaitGroup
	var made [3][]SigningKey
	for i := range made { // who comes second takes the keys of the first
		group.Go(func() { made[i], _ = d.EnsureSigningKeys(ctx, "demo.test") })
	}
	group.Wait()
	keys := must(d.SigningKeys(ctx, "demo.test"))(t)
	if len(keys) != 2 || keys[0].Selector != "202701r" || keys[1].Selector != "202701e" {
		t.Fatalf("%v", keys)
	}
	for _, m := range made {
		if len(m) != 2 || string(m[0].Private) != string(keys[0].Private) {
			t.Errorf("other keys: %v", m)
		}
	}
	if err := d.Check(ctx, func(p string) { t.Error(p) }); err != nil {
		t.Error(err)
	}
	if err := d.RemoveDomain(ctx, "demo.test"); err != nil {
		t.Fatal(err)
	}
	if keys, err := d.SigningKeys(ctx, "demo.test"); err != nil || len(keys) != 0 {
		t.Errorf("after removal: %v, %v", keys, err)
	}
}
