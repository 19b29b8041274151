package message

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestAsDovecot compares ENVELOPE and BODYSTRUCTURE with what Dovecot answers, but
// for the case of letters: clients are tested against that server above all.
func TestAsDovecot(t *testing.T) {
	file, err := os.ReadFile("testdata/dovecot.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(file), "\n=====\n")[1:]
	ours := 0
	for _, c := range cases {
		raw, answers, _ := strings.Cut(c, "-----ENVELOPE\n")
		raw = strings.TrimSuffix(raw, "\\\n") // the message has no final line end
		envelope, structure, ok := strings.Cut(answers, "-----BODYSTRUCTURE\n")
		if !ok {
			t.Fatalf("bad case %.60q", c)
		}
		m := Parse(crlf(raw))
		for _, tt := range []struct{ name, got, want string }{
			{"ENVELOPE", string(m.AppendEnvelope(nil)), envelope},
			{"BODYSTRUCTURE", string(m.AppendBodyStructure(nil)), structure},
		} {
			want, other, differs := strings.Cut(tt.want, "-----ours\n")
			if differs {
				want = other
				ours++
			}
			if !sameIMAP(t, tt.got, strings.TrimSuffix(want, "\n")) {
				t.Errorf("%s of\n%s\n got %s\nwant %s", tt.name, raw, tt.got, want)
			}
		}
	}
	if len(cases) < 50 || ours > len(cases)/2 {
		t.Errorf("%d cases, %d of them our own", len(cases), ours)
	}
}

func sameIMAP(t *testing.T, got, want string) bool {
	t.Helper()
	a, err := readIMAP(got)
	if err != nil {
		t.Errorf("our answer %q: %v", got, err)
	}
	b, err := readIMAPLoosely(want)
	if err != nil {
		t.Errorf("Dovecot's answer %q: %v", want, err)
	}
	return reflect.DeepEqual(lowerIMAP(a), lowerIMAP(b))
}

// readIMAPLoosely reads what the test file holds: spaces between lists, 8-bit
// bytes in quotes.
func readIMAPLoosely(s string) (any, error) {
	r := imapReader{s: s, loose: true}
	v := r.value(0)
	return v, r.err
}

func lowerIMAP(v any) any {
	switch v := v.(type) {
	case imapString:
		return imapString(strings.ToLower(string(v)))
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = lowerIMAP(v[i])
		}
		return out
	}
	return v
}
