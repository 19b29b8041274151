package directory

import (
	"fmt"
	"net/netip"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine/local"
)

// big is a directory of n accounts and as many aliases on a disk.
func big(b *testing.B, n int) *Directory {
	b.Helper()
	eng, err := local.Open(b.Context(), local.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := eng.Close(); err != nil {
			b.Error(err)
		}
	})
	d, err := Open(b.Context(), eng, Options{Hash: cheap})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.AddDomain(b.Context(), "example.org"); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		a := addr(fmt.Sprintf("u%d@example.org", i))
		if _, err := d.AddAccount(b.Context(), NewAccount{Address: a, Password: "secret"}, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := d.SetAlias(b.Context(), Alias{Address: addr("alias-" + a.String()), Targets: []mail.Address{a}}); err != nil {
			b.Fatal(err)
		}
	}
	return d
}

func BenchmarkResolve(b *testing.B) {
	d := big(b, 1000)
	for _, name := range []string{"u500@example.org", "u500+x@example.org", "alias-u500@example.org", "nobody@example.org"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Resolve(b.Context(), addr(name)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A login whose password is remembered.
func BenchmarkAuthenticate(b *testing.B) {
	d := big(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Authenticate(b.Context(), "u500@example.org", "secret", netip.Addr{}); err != nil {
			b.Fatal(err)
		}
	}
}
