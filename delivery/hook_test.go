package delivery

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"posthouse/hook"
	"posthouse/mail"
)

// A fakeHook says what it is told to, and keeps what it was asked about.
type fakeHook struct {
	verdict hook.Verdict
	err     error
	asked   string
}

func (f *fakeHook) Ask(_ context.Context, m *hook.Message) (hook.Verdict, error) {
	b, _ := io.ReadAll(m.Reader())
	f.asked = string(b)
	return f.verdict, f.err
}

// What a hook says is done; what it adds stands in front; who does not answer defers, or
// is passed over, as configured.
func TestHooks(t *testing.T) {
	ctx := context.Background()
	reject := mail.Reply{Code: 550, Enhanced: [3]uint8{5, 7, 1}, Text: "malware"}
	for _, tt := range []struct {
		name  string
		hook  fakeHook
		open  bool
		reply string
		inbox int
	}{
		{"passes", fakeHook{verdict: hook.Verdict{Header: []byte("X-Seen: yes\r\n")}}, false, "250", 1},
		{"refuses", fakeHook{verdict: hook.Verdict{Action: hook.Reject, Reply: reject}}, false, "550 5.7.1 malware", 0},
		{"later", fakeHook{verdict: hook.Verdict{Action: hook.Defer, Reply: mail.Reply{Code: 451, Text: "x"}}}, false, "451", 0},
		{"throws away", fakeHook{verdict: hook.Verdict{Action: hook.Discard}}, false, "250", 0},
		{"silent", fakeHook{err: errors.New("gone")}, false, "451 4.7.1", 0},
		{"silent, open", fakeHook{err: errors.New("gone")}, true, "250", 1},
	} {
		h := newHouse(t, func(o *Options) {
			o.Hooks = []hook.Asked{{Name: "fake", Hook: &tt.hook, Open: tt.open, Received: true}}
		})
		r := h.send(&Session{Origin: FromMX, Hello: "mx.far.test"}, "eve@far.test", []string{"ada@demo.test"}, "Subject: x\r\n\r\nbody\r\n").Accept(ctx)
		got := h.inbox("ada@demo.test")
		if !strings.HasPrefix(r.String(), tt.reply) || len(got) != tt.inbox {
			t.Errorf("%s: %v, %q", tt.name, r, got)
		}
		if tt.name == "passes" && (!strings.Contains(got[0], "X-Seen: yes\r\nReceived: ") || !strings.HasPrefix(tt.hook.asked, "Received: ") || !strings.HasSuffix(tt.hook.asked, "body\r\n")) {
			t.Errorf("%q, asked %q", got, tt.hook.asked)
		}
		tt.hook.asked = ""
		if r := h.send(&Session{Origin: FromLMTP}, "eve@far.test", []string{"ben@demo.test"}, "Subject: x\r\n\r\n").Accept(ctx); !r.Positive() || tt.hook.asked != "" {
			t.Errorf("%s: LMTP is asked about: %v", tt.name, r)
		}
	}
}
