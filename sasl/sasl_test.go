package sasl

import (
	"context"
	"errors"
	"strings"
	"testing"

	"posthouse/mail"
)

// verifier accepts ada with the password "secret" and notes its calls.
func verifier(calls *int) Verifier {
	return func(_ context.Context, c Credentials) error {
		*calls++
		if c != (Credentials{"ada@demo.test", "secret"}) {
			return &mail.Error{Kind: mail.Denied, Op: "test"}
		}
		return nil
	}
}

func TestServers(t *testing.T) {
	tests := []struct {
		name, mech string
		responses  []string // "-" is nil: no initial response
		challenges []string
		kind       mail.Kind
		fails      bool
		calls      int
	}{
		{"plain at once", "PLAIN", []string{"\x00ada@demo.test\x00secret"}, nil, 0, false, 1},
		{"plain asked", "plain", []string{"-", "\x00ada@demo.test\x00secret"}, []string{""}, 0, false, 1},
		{"plain as oneself", "PLAIN", []string{"Ada@demo.test\x00ada@demo.test\x00secret"}, nil, 0, false, 1},
		{"plain as another", "PLAIN", []string{"ben@demo.test\x00ada@demo.test\x00secret"}, nil, mail.Denied, true, 0},
		{"plain wrong", "PLAIN", []string{"\x00ada@demo.test\x00Secret"}, nil, mail.Denied, true, 1},
		{"plain no login", "PLAIN", []string{"\x00\x00secret"}, nil, mail.Invalid, true, 0},
		{"plain no password", "PLAIN", []string{"\x00ada@demo.test\x00"}, nil, mail.Invalid, true, 0},
		{"plain NUL in password", "PLAIN", []string{"\x00ada@demo.test\x00se\x00cret"}, nil, mail.Invalid, true, 0},
		{"plain one field", "PLAIN", []string{"ada"}, nil, mail.Invalid, true, 0},
		{"plain empty", "PLAIN", []string{""}, nil, mail.Invalid, true, 0},
		{"plain empty after challenge", "PLAIN", []string{"-", ""}, []string{""}, mail.Invalid, true, 0},
		{"plain not UTF-8", "PLAIN", []string{"\x00ada\xff\x00secret"}, nil, mail.Invalid, true, 0},
		{"plain long", "PLAIN", []string{"\x00" + strings.Repeat("a", 2000) + "\x00secret"}, nil, mail.Invalid, true, 0},
		{"login", "LOGIN", []string{"-", "ada@demo.test", "secret"}, []string{"Username:", "Password:"}, 0, false, 1},
		{"login at once", "LOGIN", []string{"ada@demo.test", "secret"}, []string{"Password:"}, 0, false, 1},
		{"login wrong", "LOGIN", []string{"-", "ada@demo.test", "x"}, []string{"Username:", "Password:"}, mail.Denied, true, 1},
		{"login no name", "LOGIN", []string{"-", ""}, []string{"Username:"}, mail.Invalid, true, 0},
		{"login no password", "LOGIN", []string{"-", "ada", ""}, []string{"Username:", "Password:"}, mail.Invalid, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := Lookup(tt.mech)
			if !ok {
				t.Fatal("no such mechanism")
			}
			calls := 0
			s := m.Server(verifier(&calls))
			for i, r := range tt.responses {
				in := []byte(r)
				if r == "-" {
					in = nil
				}
				ch, done, err := s.Next(context.Background(), in)
				if last := i == len(tt.responses)-1; last {
					if (err != nil) != tt.fails || done == tt.fails {
						t.Fatalf("done %v, err %v", done, err)
					}
					if tt.fails && mail.KindOf(err) != tt.kind {
						t.Fatalf("kind %v, want %v", mail.KindOf(err), tt.kind)
					}
				} else if err != nil || done || string(ch) != tt.challenges[i] {
					t.Fatalf("step %d: %q, %v, %v", i, ch, done, err)
				}
			}
			if calls != tt.calls {
				t.Errorf("verifier called %d times, want %d", calls, tt.calls)
			}
			if _, done, err := s.Next(context.Background(), []byte("\x00ada@demo.test\x00secret")); done || err == nil {
				t.Error("the exchange goes on after its end")
			}
		})
	}
}

func TestClientsMeetServers(t *testing.T) {
	for _, m := range Mechanisms() {
		for _, initial := range []bool{true, false} {
			calls := 0
			s := m.Server(verifier(&calls))
			c := m.Client(Credentials{"ada@demo.test", "secret"})
			resp, err := c.Start()
			if err != nil {
				t.Fatal(err)
			}
			if !initial {
				resp = nil
			}
			done := false
			for range 4 {
				var ch []byte
				if ch, done, err = s.Next(context.Background(), resp); err != nil || done {
					break
				}
				if resp, err = c.Next(ch); err != nil {
					t.Fatal(err)
				}
			}
			if !done || err != nil {
				t.Errorf("%s: done %v, err %v", m.Name, done, err)
			}
			if _, err := c.Next([]byte("more")); err == nil {
				t.Errorf("%s: the client answers after the end", m.Name)
			}
		}
	}
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"=", ""}, {"", ""}, {"YWRh", "ada"}, {"AGEAYg==", "\x00a\x00b"},
	} {
		got, err := Decode([]byte(tt.in))
		if err != nil || got == nil || string(got) != tt.want {
			t.Errorf("Decode(%q) = %q, %v", tt.in, got, err)
		}
	}
	for _, in := range []string{"==", "YWRh=", "YW Rh", "YW\r\nRh", "AGEAYg", "ü", strings.Repeat("YWRh", MaxResponse)} {
		if got, err := Decode([]byte(in)); mail.KindOf(err) != mail.Invalid {
			t.Errorf("Decode(%.20q) = %q, %v", in, got, err)
		}
	}
	if _, err := Decode([]byte("*")); !errors.Is(err, ErrCancelled) {
		t.Errorf("* gives %v", err)
	}
	if got := string(AppendEncoded([]byte("334 "), []byte("Username:"))); got != "334 VXNlcm5hbWU6" {
		t.Error(got)
	}
}

func FuzzServers(f *testing.F) {
	f.Add("PLAIN", "AGFkYUBkZW1vLnRlc3QAc2VjcmV0", "")
	f.Add("LOGIN", "YWRhQGRlbW8udGVzdA==", "c2VjcmV0")
	f.Add("LOGIN", "=", "*")
	f.Fuzz(func(t *testing.T, mech, first, second string) {
		m, ok := Lookup(mech)
		if !ok {
			return
		}
		calls := 0
		s := m.Server(verifier(&calls))
		for _, line := range []string{first, second} {
			r, err := Decode([]byte(line))
			if err != nil {
				return
			}
			_, done, err := s.Next(context.Background(), r)
			if done != (err == nil && calls == 1) {
				t.Fatalf("done %v, err %v, verifier called %d times", done, err, calls)
			}
			if err != nil || done {
				return
			}
		}
	})
}
