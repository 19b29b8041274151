package directory

import (
	"encoding/json"
	"slices"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

func groups(t *testing.T, d *Directory, id mail.AccountID) []mail.AccountID {
	t.Helper()
	got := must(d.Groups(t.Context(), id))(t)
	if err := d.Check(t.Context(), func(p string) { t.Error("check:", p) }); err != nil {
		t.Error(err)
	}
	return got
}

// An account belongs to the aliases that lead to it, also through others and through
// an address with a detail, for as long as they do.
func TestGroups(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	team := must(d.SetAlias(ctx, Alias{Address: addr("team@example.org"), Targets: []mail.Address{addr("ADA+work@example.org"), addr("x@elsewhere.test")}}))(t)
	all := must(d.SetAlias(ctx, Alias{Address: addr("all@example.org"), Targets: []mail.Address{addr("team@example.org"), addr("ben@example.org")}}))(t)
	if team.ID == all.ID || team.ID <= ben.ID || all.ID <= ben.ID {
		t.Errorf("ids %d, %d, of accounts %d", team.ID, all.ID, ben.ID)
	}
	if got := groups(t, d, ada.ID); !slices.Equal(got, []mail.AccountID{team.ID, all.ID}) {
		t.Errorf("ada is in %v", got)
	}
	if got := groups(t, d, ben.ID); !slices.Equal(got, []mail.AccountID{all.ID}) {
		t.Errorf("ben is in %v", got)
	}
	for id, want := range map[mail.AccountID]string{ada.ID: "Ada@example.org", team.ID: "team@example.org"} {
		if a := must(d.Name(ctx, id))(t); a.String() != want {
			t.Errorf("%d is %s", id, a)
		}
		if got := must(d.Identify(ctx, addr(want)))(t); got != id {
			t.Errorf("%s is %d", want, got)
		}
	}
	again := must(d.SetAlias(ctx, Alias{Address: addr("team@example.org"), Targets: []mail.Address{addr("ben@example.org")}}))(t)
	if again.ID != team.ID {
		t.Errorf("id %d, was %d", again.ID, team.ID)
	}
	if got := groups(t, d, ada.ID); len(got) > 0 {
		t.Errorf("ada is still in %v", got)
	}
	if err := d.RemoveAlias(ctx, addr("team@example.org")); err != nil {
		t.Fatal(err)
	}
	_, err := d.Name(ctx, team.ID)
	wantKind(t, err, mail.NotFound)
	if got := groups(t, d, ben.ID); !slices.Equal(got, []mail.AccountID{all.ID}) {
		t.Errorf("ben is in %v", got)
	}
	if err := d.RemoveAccount(ctx, ben.ID, nil); err != nil {
		t.Fatal(err)
	}
	groups(t, d, ada.ID)
	fresh := must(d.SetAlias(ctx, Alias{Address: addr("team@example.org"), Targets: []mail.Address{addr("ada@example.org")}}))(t)
	if fresh.ID <= all.ID {
		t.Errorf("id %d was given before", fresh.ID)
	}
}

// Aliases from before there were groups get their ids when the directory is opened.
func TestGroupsOfOldAliases(t *testing.T) {
	eng := mem.New()
	d, _ := open(t, eng)
	ctx := t.Context()
	must(d.AddDomain(ctx, "example.org"))(t)
	ada := must(d.AddAccount(ctx, NewAccount{Address: addr("ada@example.org")}, nil))(t)
	for _, name := range []string{"a", "b"} {
		val, err := json.Marshal(map[string]any{"alias": map[string]any{"l": name, "targets": []addressForm{{"ada", "example.org"}}, "created": 1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := eng.Commit(ctx, &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{{Key: addressKey(addr(name + "@example.org")), Val: val}}}).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		d, _ = open(t, eng)
		if got := groups(t, d, ada.ID); !slices.Equal(got, []mail.AccountID{ada.ID + 1, ada.ID + 2}) {
			t.Errorf("ada is in %v", got)
		}
	}
}
