package directory

import (
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
)

func problems(t *testing.T, d *Directory) string {
	t.Helper()
	var list []string
	if err := d.Check(t.Context(), func(p string) { list = append(list, p) }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

func TestCheck(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	must(d.SetAlias(ctx, Alias{Address: addr("info@example.org"), Targets: []mail.Address{addr("ben@example.org")}}))(t)
	must(d.SetDomain(ctx, "example.org", func(dom *Domain) { dom.CatchAll = addr("ben@example.org") }))(t)
	if got := problems(t, d); got != "" {
		t.Fatalf("a sound directory: %s", got)
	}
	for _, test := range []struct {
		op   engine.Op
		want string
	}{
		{engine.Op{Kind: engine.Delete, Key: addressKey(ben.Address)}, "its address ben@example.org does not lead to it"},
		{engine.Op{Kind: engine.Delete, Key: idKey(accountPrefix, ben.ID)}, "leads to account 2, which is not there"},
		{engine.Op{Kind: engine.Delete, Key: idKey(adminPrefix, ada.ID)}, "the list of admins disagrees"},
		{engine.Op{Kind: engine.Delete, Key: domainKey("example.org")}, "its domain is not here"},
		{engine.Op{Kind: engine.Delete, Key: []byte(nextIDKey)}, "its id was never given out"},
	} {
		old, err := d.eng.Snapshot(0).Get(test.op.Key)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, d, test.op)
		if got := problems(t, d); !strings.Contains(got, test.want) {
			t.Errorf("%q without %q", got, test.want)
		}
		commit(t, d, engine.Op{Kind: engine.Set, Key: test.op.Key, Val: old})
	}
}

func commit(t *testing.T, d *Directory, op engine.Op) {
	t.Helper()
	if _, err := d.eng.Commit(t.Context(), &engine.Batch{Expect: engine.AnyVersion, Ops: []engine.Op{op}}).Wait(); err != nil {
		t.Fatal(err)
	}
}
