package directory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"posthouse/mail"
	"posthouse/sasl"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// cheap is a hash cost for tests: what is tested is the logic, not argon2.
var cheap = HashCost{MemoryKiB: 64, Passes: 1, Lanes: 1}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, eng engine.Engine) (*Directory, *clock) {
	t.Helper()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	d, err := Open(t.Context(), eng, Options{Hash: cheap, HashMemory: 1 << 20, ProofIterations: sasl.MinIterations, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

func addr(s string) mail.Address {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '@' {
			return mail.Address{Local: s[:i], Domain: mail.Domain(s[i+1:])}
		}
	}
	return mail.Address{Local: s}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t *testing.T, err error, k mail.Kind) {
	t.Helper()
	if err == nil || mail.KindOf(err) != k {
		t.Fatalf("error %v, want %v", err, k)
	}
}

// house is a directory with example.org, ada (admin) and ben.
func house(t *testing.T) (d *Directory, c *clock, ada, ben Account) {
	t.Helper()
	d, c = open(t, mem.New())
	ctx := t.Context()
	must(d.AddDomain(ctx, "Example.ORG."))(t)
	ada = must(d.AddAccount(ctx, NewAccount{Address: addr("Ada@example.org"), Name: "Ada", Admin: true, Password: "secret"}, nil))(t)
	ben = must(d.AddAccount(ctx, NewAccount{Address: addr("ben@example.org"), Password: "geheim"}, nil))(t)
	return d, c, ada, ben
}

func TestAccounts(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	if ada.ID != 1 || ben.ID != 2 {
		t.Fatalf("ids %d and %d", ada.ID, ben.ID)
	}
	if got := must(d.AccountByAddress(ctx, addr("ADA@example.org")))(t); got.ID != ada.ID || got.Address.Local != "Ada" || !got.Admin {
		t.Fatalf("%+v", got)
	}
	_, err := d.AddAccount(ctx, NewAccount{Address: addr("aDA@example.org")}, nil)
	wantKind(t, err, mail.Exists)
	_, err = d.AddAccount(ctx, NewAccount{Address: addr("x@elsewhere.org")}, nil)
	wantKind(t, err, mail.NotFound)
	for _, bad := range []string{"", "a b", "ada+x", "two@at", "nul\x00"} {
		_, err = d.AddAccount(ctx, NewAccount{Address: mail.Address{Local: bad, Domain: "example.org"}}, nil)
		if bad == "a b" || bad == "two@at" { // quoted local parts are addresses
			if err != nil {
				t.Errorf("%q: %v", bad, err)
			}
			continue
		}
		wantKind(t, err, mail.Invalid)
	}
	moved := must(d.SetAccount(ctx, ben.ID, func(a *Account) { a.Address = addr("benjamin@example.org"); a.Quota.Bytes = 5 }, nil))(t)
	if moved.ID != ben.ID || moved.Quota.Bytes != 5 {
		t.Fatalf("%+v", moved)
	}
	_, err = d.AccountByAddress(ctx, addr("ben@example.org"))
	wantKind(t, err, mail.NotFound)
	_, err = d.SetAccount(ctx, ben.ID, func(a *Account) { a.Address = addr("ada@example.org") }, nil)
	wantKind(t, err, mail.Exists)
}

func TestIDsAreNeverReused(t *testing.T) {
	d, _, _, ben := house(t)
	ctx := t.Context()
	if err := d.RemoveAccount(ctx, ben.ID, nil); err != nil {
		t.Fatal(err)
	}
	again := must(d.AddAccount(ctx, NewAccount{Address: addr("ben@example.org")}, nil))(t)
	if again.ID <= ben.ID {
		t.Fatalf("id %d after %d", again.ID, ben.ID)
	}
	_, err := d.Authenticate(ctx, "ben@example.org", "geheim", netip.Addr{})
	wantKind(t, err, mail.Denied)
}

func TestRemoveAccountUnlinks(t *testing.T) {
	d, _, _, ben := house(t)
	ctx := t.Context()
	for from, to := range map[string][]string{"b@example.org": {"ben+x@example.org"}, "both@example.org": {"ada@example.org", "BEN@example.org"}} {
		a := Alias{Address: addr(from)}
		for _, s := range to {
			a.Targets = append(a.Targets, addr(s))
		}
		must(d.SetAlias(ctx, a))(t)
	}
	must(d.SetAlias(ctx, Alias{Address: addr("bb@example.org"), Targets: []mail.Address{addr("b@example.org")}}))(t)
	must(d.SetDomain(ctx, "example.org", func(dom *Domain) { dom.CatchAll = addr("ben@example.org") }))(t)
	if err := d.RemoveAccount(ctx, ben.ID, nil); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := d.Aliases(ctx, "", func(a Alias) bool { left = append(left, fmt.Sprint(a.Address, a.Targets)); return true }); err != nil {
		t.Fatal(err)
	}
	if want := "[both@example.org [ada@example.org]]"; fmt.Sprint(left) != want {
		t.Fatalf("aliases %v, want %s", left, want)
	}
	if dom := must(d.Domain(ctx, "example.org"))(t); !dom.CatchAll.IsNull() {
		t.Fatalf("catch-all %v", dom.CatchAll)
	}
}

func TestConcurrentCreation(t *testing.T) {
	eng := mem.New()
	a, _ := open(t, eng)
	b, _ := open(t, eng) // a second process: only the CAS stands between them
	ctx := t.Context()
	must(a.AddDomain(ctx, "example.org"))(t)
	const n = 40
	var wg sync.WaitGroup
	won := make([]Account, 2*n)
	for i := range 2 * n {
		wg.Go(func() {
			d := []*Directory{a, b}[i%2]
			acct, err := d.AddAccount(ctx, NewAccount{Address: addr(fmt.Sprintf("u%d@example.org", i/2))}, nil)
			switch {
			case err == nil:
				won[i] = acct
			case mail.KindOf(err) != mail.Exists && mail.KindOf(err) != mail.Conflict:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ids := map[mail.AccountID]bool{}
	for i := 0; i < 2*n; i += 2 {
		x, y := won[i], won[i+1]
		if x.ID != 0 && y.ID != 0 {
			t.Errorf("%s was given twice: %d and %d", x.Address, x.ID, y.ID)
		}
		for _, w := range []Account{x, y} {
			if w.ID != 0 && ids[w.ID] {
				t.Errorf("id %d was given twice", w.ID)
			}
			ids[w.ID] = true
		}
	}
	if len(ids) < 2 {
		t.Fatal("nobody was made")
	}
}

func TestCommitWithOthers(t *testing.T) {
	d, _, _, _ := house(t)
	ctx := t.Context()
	boom := errors.New("the mailboxes failed")
	n := NewAccount{Address: addr("eve@example.org")}
	if _, err := d.AddAccount(ctx, n, func(context.Context, mail.AccountID, *engine.Batch) error { return boom }); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	_, err := d.AccountByAddress(ctx, n.Address)
	wantKind(t, err, mail.NotFound)
	// The engine's own word for a lost race makes it try again, within bounds.
	tries := 0
	_, err = d.AddAccount(ctx, n, func(ctx context.Context, id mail.AccountID, b *engine.Batch) error {
		if tries++; tries < 3 {
			return fmt.Errorf("store: %w", engine.ErrConflict)
		}
		return d.commitAlone(ctx, id, b)
	})
	if err != nil || tries != 3 {
		t.Fatal(tries, err)
	}
}

func TestDomains(t *testing.T) {
	d, _, ada, ben := house(t)
	ctx := t.Context()
	_, err := d.AddDomain(ctx, "EXAMPLE.org")
	wantKind(t, err, mail.Exists)
	for _, bad := range []mail.Domain{"", "[127.0.0.1]", "a b", "-x.org"} {
		_, err := d.AddDomain(ctx, bad)
		wantKind(t, err, mail.Invalid)
	}
	if dom := must(d.AddDomain(ctx, "xn--bcher-kva.example"))(t); dom.Name != "bücher.example" {
		t.Fatalf("%q", dom.Name)
	}
	if !must(d.IsLocal(ctx, "bücher.example"))(t) || must(d.IsLocal(ctx, "elsewhere.org"))(t) {
		t.Fatal("IsLocal")
	}
	wantKind(t, d.RemoveDomain(ctx, "example.org"), mail.Denied)
	for _, id := range []mail.AccountID{ada.ID, ben.ID} {
		if err := d.RemoveAccount(ctx, id, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.RemoveDomain(ctx, "example.org"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, d.RemoveDomain(ctx, "example.org"), mail.NotFound)
	var names []mail.Domain
	if err := d.Domains(ctx, func(x Domain) bool { names = append(names, x.Name); return true }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(names) != "[bücher.example]" {
		t.Fatal(names)
	}
}
