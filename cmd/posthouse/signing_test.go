package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"posthouse/admin"
	"posthouse/dns/dnstest"
	"posthouse/publish"
)

// The keys of a domain are rotated by hand, on a stopped store and on a running server.
func TestDomainKeys(t *testing.T) {
	for _, mode := range []string{"stopped", "running"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			zone := dnstest.New(t, "")
			r := newRig(t, fmt.Sprintf("[dns]\nservers = [%q]\n[dkim]\nsettle = \"1ns\"", zone.Addr))
			if mode == "running" {
				r.serve(t)
			}
			do := func(line string) string {
				t.Helper()
				out, code := r.run(t, "", line)
				if code != 0 {
					t.Fatalf("%s: %d\n%s", line, code, out)
				}
				return out
			}
			do("domain add example.org")
			if out := do("domain keys example.org"); !strings.HasPrefix(out, "No keys") {
				t.Error(out)
			}
			if out := do("domain records example.org --zone"); !strings.HasPrefix(out, "example.org. IN MX 10 mx.example.org.\n") || strings.Contains(out, ";  ") {
				t.Error(out)
			}
			if out, code := r.run(t, "", "domain check example.org"); code != exitProblems || !strings.Contains(out, "example.org has no MX record.") {
				t.Errorf("%d\n%s", code, out)
			}
			if out := do("domain keys example.org"); strings.Count(out, "TO DO: publish this record") != 2 || strings.Count(out, "active") != 2 {
				t.Error(out)
			}
			do("domain keys example.org --rotate")
			var text strings.Builder
			for _, k := range readKeys(t, do("domain keys example.org --json")) {
				text.WriteString(publish.ZoneLine(publish.Record{Name: k.Name, Type: "TXT", Value: k.Value}) + "\n")
			}
			zone.SetZone(t, text.String())
			const want = "retiring retiring active active"
			got := ""
			for end := time.Now().Add(30 * time.Second); got != want && time.Now().Before(end); { // times are in seconds
				var stand []string
				for _, k := range readKeys(t, do("domain keys example.org --look --json")) {
					if stand = append(stand, k.State); k.DNS != "there" || k.Act {
						t.Errorf("%+v", k)
					}
				}
				got = strings.Join(stand, " ")
			}
			if got != want {
				t.Error(got)
			}
		})
	}
}

func readKeys(t *testing.T, out string) []admin.SigningKey {
	t.Helper()
	var keys admin.SigningKeys
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		t.Fatal(err, out)
	}
	return keys.Keys
}
