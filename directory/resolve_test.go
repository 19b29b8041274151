package directory

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posthouse/mail"
	"posthouse/store/engine/mem"
)

func TestResolve(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	must(d.AddDomain(ctx, "catch.org"))(t)
	must(d.SetDomain(ctx, "catch.org", func(dom *Domain) { dom.CatchAll = addr("ben@example.org") }))(t)
	alias := func(from string, to ...string) {
		t.Helper()
		a := Alias{Address: addr(from)}
		for _, s := range to {
			a.Targets = append(a.Targets, addr(s))
		}
		must(d.SetAlias(ctx, a))(t)
	}
	alias("info@example.org", "ada@example.org", "ben@example.org", "x@Elsewhere.org", "x@elsewhere.org")
	alias("team@example.org", "info@example.org", "ada@example.org")
	alias("both@example.org", "team@example.org", "both2@elsewhere.org")

	for _, test := range []struct {
		in, want string
	}{
		{"ada@example.org", "local found [1] [] "},
		{"ADA@example.org", "local found [1] [] "},
		{"ada+lists@example.org", "local found [1] [] lists"},
		{"ada+@example.org", "local found [1] [] "},
		{"+ada@example.org", "local - [] [] "},
		{"info@example.org", "local found [1 2] [x@elsewhere.org] "},
		{"info+a+b@example.org", "local found [1 2] [x@elsewhere.org] a+b"},
		{"both@example.org", "local found [1 2] [x@elsewhere.org both2@elsewhere.org] "},
		{"nobody@example.org", "local - [] [] "},
		{"nobody+x@example.org", "local - [] [] x"},
		{"nobody@catch.org", "local found [2] [] "},
		{"postmaster@catch.org", "local found [2] [] "},
		{"Postmaster@example.org", "local found [1] [] "},
		{"abuse+spam@example.org", "local found [1] [] spam"},
		{"postmaster", "local found [1] [] "},
		{"abuse", "local - [] [] "},
		{"ada@elsewhere.org", "- - [] [] "},
		{"ada@[127.0.0.1]", "- - [] [] "},
	} {
		res, err := d.Resolve(ctx, addr(test.in))
		if err != nil {
			t.Fatal(test.in, err)
		}
		if got := show(res); got != test.want {
			t.Errorf("%s: %s, want %s", test.in, got, test.want)
		}
	}
	must(d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	if got := show(must(d.Resolve(ctx, addr("ada@example.org")))(t)); got != "local found [1] [] " {
		t.Errorf("a disabled account receives: %s", got)
	}
	must(d.SetAccount(ctx, ben.ID, func(a *Account) { a.Admin = true }, nil))(t)
	if got := show(must(d.Resolve(ctx, addr("postmaster")))(t)); got != "local found [2] [] " {
		t.Errorf("the first admin who is not disabled: %s", got)
	}
}

func show(r Resolution) string {
	w := func(b bool, s string) string {
		if b {
			return s
		}
		return "-"
	}
	return fmt.Sprint(w(r.Local, "local"), " ", w(r.Found, "found"), " ", r.Accounts, " ", r.Remote, " ", r.Detail)
}

func TestResolveBounds(t *testing.T) {
	d, _, _, _ := house(t)
	ctx := t.Context()
	prev := "ada@example.org"
	for i := range maxAliasDepth + 1 {
		name := fmt.Sprintf("a%d@example.org", i)
		must(d.SetAlias(ctx, Alias{Address: addr(name), Targets: []mail.Address{addr(prev)}}))(t)
		prev = name
	}
	if res := must(d.Resolve(ctx, addr("a9@example.org")))(t); !res.Found {
		t.Fatal("ten steps are allowed")
	}
	_, err := d.Resolve(ctx, addr("a10@example.org"))
	wantKind(t, err, mail.Invalid)

	wide := func(name string, n int) error {
		a := Alias{Address: addr(name)}
		for i := range n {
			a.Targets = append(a.Targets, addr(fmt.Sprintf("%s%d@elsewhere.org", name[:1], i)))
		}
		_, err := d.SetAlias(ctx, a)
		return err
	}
	wantKind(t, wide("x@example.org", maxAliasTargets+1), mail.TooLarge)
	if err := wide("y@example.org", maxAliasTargets); err != nil {
		t.Fatal(err)
	}
	if err := wide("z@example.org", maxAliasTargets); err != nil {
		t.Fatal(err)
	}
	if res := must(d.Resolve(ctx, addr("y@example.org")))(t); len(res.Remote) != maxAliasTargets {
		t.Fatal(len(res.Remote))
	}
	must(d.SetAlias(ctx, Alias{Address: addr("yz@example.org"), Targets: []mail.Address{addr("y@example.org"), addr("z@example.org")}}))(t)
	_, err = d.Resolve(ctx, addr("yz@example.org"))
	wantKind(t, err, mail.TooLarge)
}

func TestAliasErrors(t *testing.T) {
	d, _, _, _ := house(t)
	ctx := t.Context()
	set := func(from string, to ...string) error {
		a := Alias{Address: addr(from)}
		for _, s := range to {
			a.Targets = append(a.Targets, addr(s))
		}
		_, err := d.SetAlias(ctx, a)
		return err
	}
	wantKind(t, set("ada@example.org", "ben@example.org"), mail.Exists)
	wantKind(t, set("x@example.org"), mail.Invalid)
	wantKind(t, set("x@example.org", "X@example.org"), mail.Invalid)
	wantKind(t, set("x@example.org", "nobody@example.org"), mail.NotFound)
	wantKind(t, set("x@elsewhere.org", "ada@example.org"), mail.NotFound)
	wantKind(t, d.RemoveAlias(ctx, addr("ada@example.org")), mail.NotFound)
	if err := set("x@example.org", "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	for _, a := range [][2]string{{"y@example.org", "x@example.org"}, {"z@example.org", "y@example.org"}} {
		if err := set(a[0], "ada@example.org", a[1]); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, set("x@example.org", "z@example.org"), mail.Invalid) // z, y, x: a circle
	wantKind(t, set("x@example.org", "ben@example.org", "y@example.org"), mail.Invalid)
	_, err := d.AddAccount(ctx, NewAccount{Address: addr("X@example.org")}, nil)
	wantKind(t, err, mail.Exists)
	if err := d.RemoveAlias(ctx, addr("X@example.org")); err != nil {
		t.Fatal(err)
	}
}

// However aliases lead, Resolve ends, says each receiver once, and a circle adds
// nobody.
func TestResolveTerminates(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d, err := Open(t.Context(), mem.New(), Options{Hash: cheap})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		_, _ = d.AddDomain(ctx, "x.org")
		names := strings.Split("a b c d e f g", " ")
		for _, n := range names[:2] {
			if _, err := d.AddAccount(ctx, NewAccount{Address: addr(n + "@x.org")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(0, 40).Draw(r, "aliases") {
			a := Alias{Address: addr(rapid.SampledFrom(names).Draw(r, "from") + "@x.org")}
			for range rapid.IntRange(1, 4).Draw(r, "targets") {
				dom := rapid.SampledFrom([]string{"x.org", "y.org"}).Draw(r, "domain")
				a.Targets = append(a.Targets, addr(rapid.SampledFrom(names).Draw(r, "to")+"@"+dom))
			}
			_, _ = d.SetAlias(ctx, a)
		}
		for _, n := range names {
			res, err := d.Resolve(ctx, addr(n+"@x.org"))
			if err != nil {
				continue
			}
			once := map[string]bool{}
			for _, x := range res.Accounts {
				once[fmt.Sprint(x)] = true
			}
			for _, x := range res.Remote {
				once[x.String()] = true
			}
			if len(once) != len(res.Accounts)+len(res.Remote) {
				r.Fatalf("%s: somebody twice: %+v", n, res)
			}
		}
	})
}

func TestMaySend(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	for from, to := range map[string][]string{"countess@example.org": {"ada@example.org"}, "both@example.org": {"ada@example.org", "ben@example.org"}, "out@example.org": {"ada@example.org", "ada@elsewhere.org"}} {
		a := Alias{Address: addr(from)}
		for _, s := range to {
			a.Targets = append(a.Targets, addr(s))
		}
		must(d.SetAlias(ctx, a))(t)
	}
	must(d.SetDomain(ctx, "example.org", func(dom *Domain) { dom.CatchAll = addr("ada@example.org") }))(t)
	for _, test := range []struct {
		id   mail.AccountID
		from string
		want bool
	}{
		{ada.ID, "ada@example.org", true},
		{ada.ID, "ADA+x@example.org", true},
		{ada.ID, "countess@example.org", true},
		{ada.ID, "countess+x@example.org", true},
		{ada.ID, "both@example.org", false},
		{ada.ID, "out@example.org", false},
		{ada.ID, "ben@example.org", false},
		{ada.ID, "nobody@example.org", false},
		{ada.ID, "postmaster@example.org", false},
		{ada.ID, "ada@elsewhere.org", false},
		{ben.ID, "countess@example.org", false},
		{ada.ID, "", false},
	} {
		if got := must(d.MaySend(ctx, test.id, addr(test.from)))(t); got != test.want {
			t.Errorf("%d as %q: %v", test.id, test.from, got)
		}
	}
	must(d.SetAccount(ctx, ada.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	if must(d.MaySend(ctx, ada.ID, addr("ada@example.org")))(t) {
		t.Error("a disabled account may not send")
	}
}
