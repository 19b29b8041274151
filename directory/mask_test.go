package directory

import (
	"testing"

	"posthouse/mail"
)

// A masked address leads to its account alone, which may send as it, until it is ended.
func TestMasked(t *testing.T) {
	d, _, _, _ := house(t)
	ctx := t.Context()
	ada, err := d.AccountByAddress(ctx, mail.Address{Local: "ada", Domain: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	one, err := d.AddMasked(ctx, ada.ID, "a shop")
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.AddMasked(ctx, ada.ID, "")
	if err != nil || one.Address == two.Address || len(one.Address.Local) != 12 {
		t.Fatalf("%v, %v, %v", one, two, err)
	}
	list, err := d.Masked(ctx, ada.ID)
	if err != nil || len(list) != 2 || (list[0].Note != "a shop" && list[1].Note != "a shop") {
		t.Errorf("%+v, %v", list, err)
	}
	res, err := d.Resolve(ctx, one.Address)
	if err != nil || len(res.Accounts) != 1 || res.Accounts[0] != ada.ID {
		t.Errorf("%+v, %v", res, err)
	}
	if ok, err := d.MaySend(ctx, ada.ID, one.Address); !ok || err != nil {
		t.Errorf("may not send: %v", err)
	}
	if ok, _ := d.MaySend(ctx, ada.ID+1, one.Address); ok {
		t.Error("another may send as it")
	}
	if err := d.RemoveMasked(ctx, ada.ID+1, one.Address); err == nil {
		t.Error("another may end it")
	}
	wantKind(t, d.RemoveMasked(ctx, ada.ID, ada.Address), mail.NotFound)
	if err := d.RemoveMasked(ctx, ada.ID, one.Address); err != nil {
		t.Fatal(err)
	}
	if res, err := d.Resolve(ctx, one.Address); err != nil || res.Found {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := d.AddMasked(ctx, 9999, ""); mail.KindOf(err) != mail.NotFound || err == nil {
		t.Errorf("for nobody: %v", err)
	}
}
