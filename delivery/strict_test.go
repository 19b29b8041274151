package delivery

import (
	"strings"
	"testing"
)

func TestParseStrict(t *testing.T) {
	for in, want := range map[string]string{
		"ada@demo.test":                                   "ada@demo.test",
		"Ada Lovelace <ada@demo.test>":                    "ada@demo.test",
		"\"Lovelace, Ada\" <ada@DEMO.test>":               "ada@demo.test",
		"A. D. Lovelace <ada@demo.test>":                  "ada@demo.test",
		"=?utf-8?q?Ad=C3=A4?= <ada@demo.test>":            "ada@demo.test",
		"Adä <adä@exämple.test>":                          "adä@exämple.test",
		"\"a b\"@demo.test":                               "\"a b\"@demo.test",
		"(the) Ada (x \\) (y)) < ada@demo.test (z) > (!)": "ada@demo.test",
		"ada@demo.test,\r\n ben@demo.test":                "ada@demo.test ben@demo.test",
		"\"ceo@far.test\" <ada@demo.test>":                "ada@demo.test",
		"<ada@demo.test>":                                 "ada@demo.test",
	} {
		list, ok := parseStrict([]byte(in))
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if !ok || strings.Join(got, " ") != want {
			t.Errorf("%q gives %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{
		"", " ", ",", "ada", "ada@", "@demo.test", "<>", "ada@demo.test,", ",ada@demo.test", "ada@demo.test,,ben@demo.test",
		"<ada@demo.test> <ceo@far.test>", "<ada@demo.test>ceo@far.test", "ceo@far.test <ada@demo.test>", "Ada ada@demo.test",
		"team: ada@demo.test;", "<@far.test:ada@demo.test>", "ada@demo.test; ceo@far.test", "ada@demo.test (", "(\\", "\"ada@demo.test",
		"ada@demo.test ceo@far.test", "ada@demo.test\x00ceo@far.test", "ada@demo.test\x01", "\"x\\", "\"x\x00\"@demo.test",
		"ada @demo.test", "ada@ demo.test", "ada@demo.test>", "<ada@demo.test", "<<ada@demo.test>>", "ada@[127.0.0.1]", "ada(@far.test)@demo.test",
		"ada@demo.test)", "Ada [x] <ada@demo.test>", "ada@demo@far.test",
	} {
		if list, ok := parseStrict([]byte(in)); ok {
			t.Errorf("%q gives %v", in, list)
		}
	}
}

func FuzzParseStrict(f *testing.F) {
	f.Add([]byte("\"Lovelace, Ada\" <ada@demo.test>, (x) ben@demo.test"))
	f.Add([]byte("A. (\\)) <\"a\\\"b\"@demo.test>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, ok := parseStrict(b)
		if ok != (len(list) > 0) {
			t.Fatal(list, ok)
		}
		for _, a := range list {
			again, ok := parseStrict([]byte(a.String()))
			if !ok || len(again) != 1 || again[0] != a {
				t.Fatalf("%v prints as %q, which is %v, %v", a, a.String(), again, ok)
			}
		}
	})
}
