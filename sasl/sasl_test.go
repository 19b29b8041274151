package sasl

import (
	"context"
	"errors"
	"strings"
	"testing"

	"posthouse/mail"
)

// house is an Authority that knows ada, whose password is "secret".
type house struct {
	calls    int    // decisions
	password string // "" is "secret"
	as       string
	missing  bool // ada does not exist
}

const ada = "ada@demo.test"

func (h *house) decide(right bool) error {
	h.calls++
	if !right || h.missing {
		return &mail.Error{Kind: mail.Denied, Op: "test"}
	}
	return nil
}

func (h *house) secretWord() string {
	if h.password == "" {
		return "secret"
	}
	return h.password
}

func (h *house) Password(_ context.Context, c Credentials) error {
	h.as = c.As
	return h.decide(c.Login == ada && c.Password == h.secretWord())
}

func (h *house) Secret(_ context.Context, hash Hash, login, as string) (Secret, error) {
	h.as, h.missing = as, h.missing || login != ada
	return NewSecret(hash, h.secretWord(), []byte("0123456789abcdef"), MinIterations)
}

func (h *house) Proved(_ context.Context, right bool) error { return h.decide(right) }

func (h *house) Certificate(_ context.Context, as string) error {
	h.as = as
	return h.decide(as == "" || as == ada)
}

func (h *house) Token(_ context.Context, token, as string) error {
	h.as = as
	return h.decide(token == "good" && (as == "" || as == ada))
}

func (h *house) Issuer() string { return "https://id.demo.test/" }

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
		{"plain wrong", "PLAIN", []string{"\x00ada@demo.test\x00Secret"}, nil, mail.Denied, true, 1},
		{"plain no login", "PLAIN", []string{"\x00\x00secret"}, nil, mail.Invalid, true, 0},
		{"plain no password", "PLAIN", []string{"\x00ada@demo.test\x00"}, nil, mail.Invalid, true, 0},
		{"plain NUL in password", "PLAIN", []string{"\x00ada@demo.test\x00se\x00cret"}, nil, mail.Invalid, true, 0},
		{"plain one field", "PLAIN", []string{"ada"}, nil, mail.Invalid, true, 0},
		{"plain empty", "PLAIN", []string{""}, nil, mail.Invalid, true, 0},
		{"plain empty after challenge", "PLAIN", []string{"-", ""}, []string{""}, mail.Invalid, true, 0},
		{"plain not UTF-8", "PLAIN", []string{"\x00ada\xff\x00secret"}, nil, mail.Invalid, true, 0},
		{"plain authzid not UTF-8", "PLAIN", []string{"\xff\x00ada@demo.test\x00secret"}, nil, mail.Invalid, true, 0},
		{"plain long", "PLAIN", []string{"\x00" + strings.Repeat("a", 2000) + "\x00secret"}, nil, mail.Invalid, true, 0},
		{"login", "LOGIN", []string{"-", "ada@demo.test", "secret"}, []string{"Username:", "Password:"}, 0, false, 1},
		{"login at once", "LOGIN", []string{"ada@demo.test", "secret"}, []string{"Password:"}, 0, false, 1},
		{"login wrong", "LOGIN", []string{"-", "ada@demo.test", "x"}, []string{"Username:", "Password:"}, mail.Denied, true, 1},
		{"login no name", "LOGIN", []string{"-", ""}, []string{"Username:"}, mail.Invalid, true, 0},
		{"login no password", "LOGIN", []string{"-", "ada", ""}, []string{"Username:", "Password:"}, mail.Invalid, true, 0},
		{"external", "EXTERNAL", []string{"-", ""}, []string{""}, 0, false, 1},
		{"external at once", "EXTERNAL", []string{""}, nil, 0, false, 1},
		{"external as oneself", "EXTERNAL", []string{ada}, nil, 0, false, 1},
		{"external as another", "EXTERNAL", []string{"ben@demo.test"}, nil, mail.Denied, true, 1},
		{"external NUL", "EXTERNAL", []string{"a\x00b"}, nil, mail.Invalid, true, 0},
		{"bearer", "OAUTHBEARER", []string{"n,a=ada@demo.test,\x01host=x\x01port=993\x01auth=Bearer good\x01\x01"}, nil, 0, false, 1},
		{"bearer without authzid", "OAUTHBEARER", []string{"-", "n,,\x01auth=bearer good\x01\x01"}, []string{""}, 0, false, 1},
		{"bearer wrong", "OAUTHBEARER", []string{"n,,\x01auth=Bearer bad\x01\x01", "\x01"},
			[]string{`{"status":"invalid_token","schemes":"bearer","openid-configuration":"https://id.demo.test/.well-known/openid-configuration"}`}, mail.Denied, true, 1},
		{"bearer bound", "OAUTHBEARER", []string{"p=tls-unique,,\x01auth=Bearer good\x01\x01"}, nil, mail.Invalid, true, 0},
		{"bearer without token", "OAUTHBEARER", []string{"n,,\x01host=x\x01\x01"}, nil, mail.Invalid, true, 0},
		{"bearer two tokens", "OAUTHBEARER", []string{"n,,\x01auth=Bearer good\x01auth=Bearer bad\x01\x01"}, nil, mail.Invalid, true, 0},
		{"bearer cut short", "OAUTHBEARER", []string{"n,,\x01auth=Bearer good\x01"}, nil, mail.Invalid, true, 0},
		{"bearer control in token", "OAUTHBEARER", []string{"n,,\x01auth=Bearer go\nod\x01\x01"}, nil, mail.Invalid, true, 0},
		{"xoauth2", "XOAUTH2", []string{"user=ada@demo.test\x01auth=Bearer good\x01\x01"}, nil, 0, false, 1},
		{"xoauth2 as another", "XOAUTH2", []string{"user=ben@demo.test\x01auth=Bearer good\x01\x01", ""},
			[]string{`{"status":"401","schemes":"bearer","openid-configuration":"https://id.demo.test/.well-known/openid-configuration"}`}, mail.Denied, true, 1},
		{"xoauth2 nonsense", "XOAUTH2", []string{"user"}, nil, mail.Invalid, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := Lookup(tt.mech)
			if !ok {
				t.Fatal("no such mechanism")
			}
			h := &house{}
			s := m.Server(h, Channel{})
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
			if h.calls != tt.calls {
				t.Errorf("asked %d times, want %d", h.calls, tt.calls)
			}
			if _, done, err := s.Next(context.Background(), []byte("\x00ada@demo.test\x00secret")); done || err == nil {
				t.Error("the exchange goes on after its end")
			}
		})
	}
}

// converse lets a client log in and returns how that ended.
func converse(s Server, c Client, initial bool) (done bool, err error) {
	resp, err := c.Start()
	if err != nil {
		return false, err
	}
	if !initial {
		resp = nil
	}
	for range 6 {
		var ch []byte
		if ch, done, err = s.Next(context.Background(), resp); err != nil || done {
			return done, err
		}
		if resp, err = c.Next(ch); err != nil {
			return false, err
		}
	}
	return false, errors.New("no end")
}

func TestClientsMeetServers(t *testing.T) {
	for _, m := range Clients() {
		for _, initial := range []bool{true, false} {
			h := &house{}
			c := m.Client(Credentials{Login: ada, Password: "secret"})
			if done, err := converse(m.Server(h, Channel{}), c, initial); !done || err != nil {
				t.Errorf("%s: done %v, err %v", m.Name, done, err)
			}
			if _, err := c.Next([]byte("more")); err == nil {
				t.Errorf("%s: the client answers after the end", m.Name)
			}
			if done, err := converse(m.Server(h, Channel{}), m.Client(Credentials{Login: ada, Password: "wrong"}), initial); done || mail.KindOf(err) != mail.Denied {
				t.Errorf("%s: a wrong password: %v, %v", m.Name, done, err)
			}
			if done, err := converse(m.Server(h, Channel{}), m.Client(Credentials{Login: "eve@demo.test", Password: "secret"}), initial); done || mail.KindOf(err) != mail.Denied {
				t.Errorf("%s: a wrong name: %v, %v", m.Name, done, err)
			}
		}
	}
}

func TestPossible(t *testing.T) {
	names := func(k Methods) (out []string) {
		for _, m := range Mechanisms() {
			if m.Possible(k, Channel{}) {
				out = append(out, m.Name)
			}
		}
		return out
	}
	for k, want := range map[Methods]string{
		0: "", ByPassword: "PLAIN LOGIN", ByProof: "SCRAM-SHA-256 SCRAM-SHA-1", ByCertificate: "", ByToken: "OAUTHBEARER XOAUTH2",
	} {
		if got := strings.Join(names(k), " "); got != want {
			t.Errorf("%b: %q, want %q", k, got, want)
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
	f.Add("EXTERNAL", "=", "")
	f.Add("SCRAM-SHA-256", "biwsbj11c2VyLHI9clByTg==", "Yz1iaXdzLHI9clByTixwPQ==")
	f.Add("SCRAM-SHA-1", "eSxhPWEsbj1hLHI9Yg==", "Yz1iaXdz")
	f.Add("SCRAM-SHA-256-PLUS", "cD10bHMtZXhwb3J0ZXIsLG49YSxyPWI=", "")
	f.Add("OAUTHBEARER", "biwsAWF1dGg9QmVhcmVyIGdvb2QBAQ==", "AQ==")
	f.Add("XOAUTH2", "dXNlcj1hAWF1dGg9QmVhcmVyIHgBAQ==", "")
	f.Fuzz(func(t *testing.T, mech, first, second string) {
		m, ok := Lookup(mech)
		if !ok {
			return
		}
		h := &house{}
		s := m.Server(h, Channel{})
		for _, line := range []string{first, second, ""} {
			r, err := Decode([]byte(line))
			if err != nil {
				return
			}
			_, done, err := s.Next(context.Background(), r)
			if h.calls > 1 || done && (h.calls != 1 || err != nil) {
				t.Fatalf("done %v, err %v, asked %d times", done, err, h.calls)
			}
			if err != nil || done {
				return
			}
		}
	})
}
