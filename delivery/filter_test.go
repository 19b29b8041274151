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
		"no colon in this line at all, which is long\r\nBcc: c\r\n\r\n":                    "no colon in this line at all, which is long\r\n\r\n",
		strings.Repeat("x", 100) + "\r\nBcc: c\r\n":                                        strings.Repeat("x", 100) + "\r\n",
		"Authentication-Results: us; a=b\r\nX: y\r\n\r\nAuthentication-Results: us\r\n":    "X: y\r\n\r\nAuthentication-Results: us\r\n",
		"Authentication-Results: them; a=b\r\n us\r\nX: y\r\n":                             "Authentication-Results: them; a=b\r\n us\r\nX: y\r\n",
		"AUTHENTICATION-results :\r\n (c)\r\n\tUS 1\r\n ; a=b\r\nBcc: z\r\n\r\n":           "\r\n",
		"Authentication-Results: us":                                                       "",
		"Authentication-Results: us2\r\nAuthentication-Results: \"us\"\r\n":                "Authentication-Results: us2\r\n",
		"Authentication-Results: (\r\n\r\n":                                                "\r\n",
		"Authentication-Results: them;" + strings.Repeat("\r\n x", 30000) + "\r\nX: y\r\n": "X: y\r\n",
	} {
		if len(in) > 10000 {
			for _, step := range []int{1000, len(in)} {
				if got := filtered(t, []byte(in), step); got != want {
					t.Errorf("%.50q in steps of %d gives %.50q", in, step, got)
				}
			}
			continue
		}
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
	f := fieldFilter{w: &out, drop: blindFields, server: "us"}
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
