package directory

import (
	"fmt"
	"testing"
	"time"

	"posthouse/mail"
)

func TestResolutions(t *testing.T) {
	var c resolutions
	now := time.Unix(1e9, 0)
	ada := mail.Address{Local: "ada", Domain: "example.org"}
	res := Resolution{Local: true, Found: true, Accounts: []mail.AccountID{1}}
	has := func(a mail.Address, at time.Time) bool {
		_, _, ok := c.load(a, at)
		return ok
	}
	_, generation, _ := c.load(ada, now)
	c.forget() // the directory changes while the resolution is computed
	c.add(generation, ada, res, now)
	if has(ada, now) {
		t.Error("a resolution of the state before is believed")
	}
	_, generation, _ = c.load(ada, now)
	c.add(generation, ada, res, now)
	if !has(ada, now) || has(ada, now.Add(resolutionAge)) || has(ada, now.Add(-time.Hour)) {
		t.Error("not known, or known for too long")
	}
	c.add(generation, mail.Address{Local: "nobody", Domain: "example.org"}, Resolution{Local: true}, now)
	if len(c.known) != 1 {
		t.Error("an address that nobody has is kept")
	}
	for i := range 3 * maxResolutions {
		c.add(generation, mail.Address{Local: fmt.Sprint(i), Domain: "example.org"}, res, now)
		if len(c.known) > maxResolutions {
			t.Fatal("the cache grows without bound")
		}
	}
}

// A change counts from the moment at which it returns.
func TestResolveSeesChangesAtOnce(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	for i := range 20 {
		to := []mail.Address{ada.Address, ben.Address}[i%2]
		want := []mail.AccountID{ada.ID, ben.ID}[i%2]
		if _, err := d.SetAlias(ctx, Alias{Address: addr("turn@example.org"), Targets: []mail.Address{to}}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			res, err := d.Resolve(ctx, addr("turn@example.org"))
			if err != nil || len(res.Accounts) != 1 || res.Accounts[0] != want {
				t.Fatal(i, res, err)
			}
		}
	}
}
