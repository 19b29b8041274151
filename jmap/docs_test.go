package jmap

import (
	"os"
	"strings"
	"testing"
)

// The documentation of our own capability names each method, each type with each of its
// properties, and each error that the server gives.
func TestVendorDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/jmap.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	types, methods := tables()
	for name, m := range methods {
		typ, verb, _ := strings.Cut(name, "/")
		if m.capability == capPosthouse && !strings.Contains(doc, name) && !(strings.Contains(doc, "`"+typ+"`") && strings.Contains(doc, "`/"+verb+"`")) {
			t.Errorf("nothing is said of %s", name)
		}
	}
	for name, typ := range types {
		for _, p := range typ.properties {
			if typ.capability == capPosthouse && name != "ContactCard" && !strings.Contains(doc, "`"+p.name+"`") && p.name != "id" {
				t.Errorf("nothing is said of %s.%s", name, p.name)
			}
		}
	}
	for name := range errorTypes(t) {
		if _, kind, _ := strings.Cut(name, " "); !strings.Contains(doc, "`"+kind+"`") {
			t.Errorf("nothing is said of the error %s", name)
		}
	}
}
