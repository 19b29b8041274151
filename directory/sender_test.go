package directory

import (
	"testing"

	"posthouse/mail"
)

// Who may send as whom: what is granted, by name or by group, and to nobody else; also
// as the aliases that lead to that one alone, and no more once it is taken back.
func TestSenders(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	may := func(id mail.AccountID, from string, want bool) {
		t.Helper()
		if got := must(d.MaySend(ctx, id, addr(from)))(t); got != want {
			t.Errorf("%d as %s: %t", id, from, got)
		}
		if err := d.Check(ctx, func(p string) { t.Error("check:", p) }); err != nil {
			t.Error(err)
		}
	}
	cleo := must(d.AddAccount(ctx, NewAccount{Address: addr("cleo@example.org")}, nil))(t)
	for alias, to := range map[string][]string{"info": {"ada"}, "team": {"ben", "cleo"}} {
		a := Alias{Address: addr(alias + "@example.org")}
		for _, x := range to {
			a.Targets = append(a.Targets, addr(x+"@example.org"))
		}
		must(d.SetAlias(ctx, a))(t)
	}
	may(ben.ID, "ada@example.org", false)
	if err := d.AllowSender(ctx, addr("ada@example.org"), addr("ben@example.org")); err != nil {
		t.Fatal(err)
	}
	may(ben.ID, "Ada+x@example.org", true)
	may(ben.ID, "info@example.org", true) // it leads to her alone
	may(cleo.ID, "ada@example.org", false)
	may(ada.ID, "ben@example.org", false)
	may(ben.ID, "team@example.org", false)
	for _, as := range []string{"team", "info"} {
		if err := d.AllowSender(ctx, addr(as+"@example.org"), addr("team@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	may(ben.ID, "team@example.org", true)
	may(cleo.ID, "team@example.org", true)
	may(cleo.ID, "info@example.org", true)
	may(cleo.ID, "ada@example.org", false)
	may(ada.ID, "team@example.org", false)
	if got := must(d.Senders(ctx, addr("ada@example.org")))(t); len(got) != 1 || got[0].Local != "ben" {
		t.Errorf("%v", got)
	}
	wantKind(t, d.AllowSender(ctx, addr("ada@example.org"), addr("ada@example.org")), mail.Invalid)
	wantKind(t, d.AllowSender(ctx, addr("ada@example.org"), addr("nobody@example.org")), mail.NotFound)
	wantKind(t, d.DenySender(ctx, addr("ada@example.org"), addr("cleo@example.org")), mail.NotFound)
	must(d.SetAccount(ctx, ben.ID, func(a *Account) { a.Disabled = true }, nil))(t)
	may(ben.ID, "ada@example.org", false)
	must(d.SetAccount(ctx, ben.ID, func(a *Account) { a.Disabled = false }, nil))(t)
	if err := d.DenySender(ctx, addr("ada@example.org"), addr("ben@example.org")); err != nil {
		t.Fatal(err)
	}
	may(ben.ID, "ada@example.org", false)
	if err := d.RemoveAlias(ctx, addr("team@example.org")); err != nil {
		t.Fatal(err)
	}
	may(cleo.ID, "info@example.org", false)
	if err := d.AllowSender(ctx, addr("ada@example.org"), addr("ben@example.org")); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAccount(ctx, ben.ID, nil); err != nil {
		t.Fatal(err)
	}
	if got := must(d.Senders(ctx, addr("ada@example.org")))(t); len(got) != 0 {
		t.Errorf("%v", got)
	}
	may(ada.ID, "ada@example.org", true)
}
