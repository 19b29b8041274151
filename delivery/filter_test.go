package delivery

import (
	"bytes"
	"strings"
	"testing"
)

func TestFieldFilter(t *testing.T) {
	for in, want := range map[string]string{
		"": "",
		"A: b\r\nBcc: c\r\nD: e\r\n\r\nBcc: f\r\n":       "A: b\r\nD: e\r\n\r\nBcc: f\r\n",
		"bCC \t: c,\r\n d\r\n\te\r\nResent-Bcc:\r\nX: y": "X: y",
		"Bcc: c\r\n\r\nbody":                             "\r\nbody",
		"Bcc":                                            "Bcc",
		"Bcc:":                                           "",
		"Bccx: y\r\nBc: z\r\n":                           "Bccx: y\r\nBc: z\r\n",
		"\r\nBcc: body\r\n":                              "\r\nBcc: body\r\n",
		"\nBcc: body\r\n":                                "\nBcc: body\r\n",
		" Bcc: x\r\n":                                    " Bcc: x\r\n",
		"A: b\r\n Bcc: c\r\n":                            "A: b\r\n Bcc: c\r\n",
		"no colon in this line at all, which is long\r\nBcc: c\r\n\r\n": "no colon in this line at all, which is long\r\n\r\n",
		strings.Repeat("x", 100) + "\r\nBcc: c\r\n":                     strings.Repeat("x", 100) + "\r\n",
	} {
		for step := 1; step <= len(in)+1; step++ {
			if got := filtered(t, []byte(in), step); got != want {
				t.Errorf("%q in steps of %d gives %q", in, step, got)
			}
		}
	}
}

func filtered(t *testing.T, in []byte, step int) string {
	t.Helper()
	var out bytes.Buffer
	f := fieldFilter{w: &out, drop: blindFields}
	for len(in) > 0 {
		n := min(step, len(in))
		if k, err := f.Write(in[:n]); k != n || err != nil {
			t.Fatal(k, err)
		}
		in = in[n:]
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func FuzzFieldFilter(f *testing.F) {
	f.Add([]byte("A: b\r\nBcc: c\r\n d\r\nE: f\r\n\r\nBcc: body"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole := filtered(t, in, len(in)+1)
		if got := filtered(t, in, int(step)+1); got != whole {
			t.Fatalf("in steps of %d %q, whole %q", int(step)+1, got, whole)
		}
		head, _, _ := strings.Cut("\n"+strings.ReplaceAll(whole, "\r\n", "\n"), "\n\n")
		for line := range strings.SplitSeq(strings.ToLower(head), "\n") {
			if name, _, ok := strings.Cut(line, ":"); ok && strings.TrimRight(name, " \t") == "bcc" {
				t.Fatalf("%q lets %q through", in, line)
			}
		}
	})
}
