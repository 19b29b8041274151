package directory

import (
	"strings"
	"testing"

	"posthouse/mail"
	"posthouse/store/engine"
	"posthouse/store/engine/mem"
)

// A stored hash that is damaged is Corrupt; it costs neither memory nor time
// beyond the bounds, and what parses is spelled the same again.
func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=1,t=1,p=1$$")
	f.Add("$argon2id$v=19$m=+1,t= 1,p=1x$AAAA$AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, salt, key, err := parsePHC(s)
		if err != nil {
			if mail.KindOf(err) != mail.Corrupt {
				t.Fatalf("%v", err)
			}
			return
		}
		if c.MemoryKiB > maxHashKiB || c.Passes > maxHashPasses || c.Lanes == 0 || len(key) > 64 {
			t.Fatalf("out of bounds: %+v", c)
		}
		if again, salt2, key2, err := parsePHC(c.phc(salt, key)); err != nil || again != c || string(salt2) != string(salt) || string(key2) != string(key) {
			t.Fatalf("%q does not come back: %v", s, err)
		}
	})
}

// A login name is an address or nothing.
func FuzzLogin(f *testing.F) {
	for _, s := range []string{"ada@example.org", " a@b ", "@", "a@xn--bcher-kva.example", "a@[127.0.0.1]", "\x00@x", strings.Repeat("a", 2000) + "@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := parseLogin(s)
		if ok && (a.Local == "" || a.Domain == "") {
			t.Fatalf("%q is %+v", s, a)
		}
	})
}

// Whatever lies under the directory's keys, no reader of it panics or runs on.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"account":1}`), []byte(`{"address":{"l":"a","d":"x"},"admin":true}`), []byte(`{"catchAll":{"l":"a","d":"x"}}`))
	f.Add([]byte(`{"alias":{"l":"a","targets":[{"l":"a","d":"x"},{"l":"b","d":"x"}]}}`), []byte(`{}`), []byte(`{}`))
	f.Add([]byte(`{"account":1,"alias":{}}`), []byte(`null`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, address, account, domain []byte) {
		eng := mem.New()
		defer eng.Close()
		d, err := Open(t.Context(), eng, Options{Hash: cheap})
		if err != nil {
			t.Fatal(err)
		}
		a := mail.Address{Local: "a", Domain: "x"}
		b := &engine.Batch{Expect: engine.AnyVersion}
		for _, kv := range [][2][]byte{{addressKey(a), address}, {idKey(accountPrefix, 1), account}, {domainKey("x"), domain},
			{idKey(credentialPrefix, 1), account}, {idKey(adminPrefix, 1), domain}} {
			b.Ops = append(b.Ops, engine.Op{Kind: engine.Set, Key: kv[0], Val: kv[1]})
		}
		if _, err := eng.Commit(t.Context(), b).Wait(); err != nil {
			t.Fatal(err)
		}
		_, _ = d.Resolve(t.Context(), a)
		_, _ = d.Resolve(t.Context(), mail.Address{Local: "postmaster", Domain: "x"})
		_, _ = d.MaySend(t.Context(), 1, a)
		_, _ = d.credential("a@x")
		_ = d.Check(t.Context(), func(string) {})
		_ = d.RemoveAccount(t.Context(), 1, nil)
	})
}
