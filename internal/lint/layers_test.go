package lint

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ranks orders the packages, top to bottom: a package imports only those of
// lower rows, and what lies below itself in its own directory. A pattern is a
// path, or ends in /* for everything below. The most exact pattern counts.
var ranks = [][]string{
	{"cmd/*"},
	{"server"},
	{"web"},
	{"admin"},
	{"imap", "smtp", "jmap", "pop3", "managesieve"},
	{"delivery"},
	{"queue"},
	{"tlspolicy", "reports", "publish"},
	{"search", "smtpclient", "spam", "hook", "imapurl"},
	{"search/fts"},
	{"store", "directory", "trace", "report"},
	{"store/engine/*"},
	{"store/engine"},
	{"mailauth/arc"},
	{"sieve", "web/*", "mailauth/*", "tlspolicy/*", "sasl", "sasl/*", "imap/wire", "smtp/wire", "jmap/wire", "jmap/webpush", "pop3/wire", "managesieve/wire"},
	{"message", "dns", "config", "trust", "ical"},
	{"mail"},
}

// Trees of programs and tests that may import anything but are imported by none.
var outside = []string{"bench", "test"}

// kits are for _test.go files, other kits and the outside trees only.
var kits = []string{"internal/transcript", "internal/peers", "internal/lint"}

var frontEnds = []string{"imap", "smtp", "jmap", "pop3", "managesieve", "web"}

// engineUsers may name the engine's interface: those that keep keys of their own,
// and those that join their batches into one commit.
var engineUsers = []string{"server", "admin", "delivery", "store", "directory", "trace", "report", "queue", "tlspolicy", "reports", "search/fts"}

// owners are the only packages that may name a module. For other modules the
// rule is that one package names it, whichever.
var owners = map[string][]string{
	"github.com/cockroachdb/pebble/v2":      {"store/engine/local"},
	"github.com/miekg/dns":                  {"dns", "dns/dnstest"},
	"github.com/pelletier/go-toml/v2":       {"config"},
	"github.com/spf13/cobra":                {"cmd/posthouse"},
	"github.com/prometheus/client_golang":   {"internal/metrics"},
	"github.com/coreos/go-systemd/v22":      {"server"},
	"github.com/jackc/pgx/v5":               {"store/engine/pg"},
	"github.com/caddyserver/certmagic":      {"web"},
	"github.com/santhosh-tekuri/jsonschema": {},
}

// testModules are for _test.go files, kits and the outside trees.
var testModules = []string{"github.com/google/go-cmp", "go.uber.org/goleak", "pgregory.net/rapid",
	"github.com/xdg-go/scram", "github.com/emersion/go-imap/v2", "github.com/emersion/go-message", "github.com/emersion/go-smtp", "github.com/emersion/go-msgauth", "go.yaml.in/yaml/v3",
	"example.org/test"}

// sansIO may touch the world only through parameters.
var sansIO = []string{"mail", "message", "sieve", "mailauth"}

var ioPackages = []string{"os", "os/exec", "net", "net/http", "syscall", "log", "crypto/rand", "math/rand", "math/rand/v2"}

func TestLayers(t *testing.T) { check(t, layers) }

func layers(tr *tree) []string {
	var out []string
	users := map[string]map[string]bool{} // by module
	unranked := map[string]bool{}
	for _, f := range tr.files {
		if f.dir == "." {
			continue
		}
		if _, ok := rankOf(f.dir); !ok && !unranked[f.dir] {
			unranked[f.dir] = true
			out = append(out, fmt.Sprintf("%s: package %s has no rank: give it its place in internal/lint/layers_test.go and docs/architecture.md", f.path, f.dir))
			continue
		}
		for _, im := range f.ast.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				continue
			}
			why := ""
			if to, ours := strings.CutPrefix(p, module+"/"); ours {
				why = refuse(f, to)
			} else if mod := moduleOf(tr.goMod, p); mod != "" {
				why = foreign(f, mod)
				if !f.test && !isKit(f.dir) && !in(f.dir, outside) {
					if users[mod] == nil {
						users[mod] = map[string]bool{}
					}
					users[mod][f.dir] = true
				}
			} else {
				why = refuseStd(f, p)
			}
			if why != "" {
				out = append(out, fmt.Sprintf("%s: %s imports %s: %s", tr.at(f, im.Pos()), f.dir, p, why))
			}
		}
	}
	return append(out, shared(users)...)
}

// in reports whether dir is one of the trees.
func in(dir string, trees []string) bool {
	return slices.ContainsFunc(trees, func(t string) bool { return dir == t || strings.HasPrefix(dir, t+"/") })
}

// isKit reports packages made for tests: those listed, and those whose name ends
// in "test".
func isKit(dir string) bool {
	return in(dir, kits) || strings.HasSuffix(path.Base(dir), "test") && path.Base(dir) != "test"
}

func isEngine(dir string) bool {
	return strings.HasPrefix(dir, "store/engine/") && !isKit(dir)
}

// rankOf gives a package's height; internal, outside and kits have the place
// that their own rules give them.
func rankOf(dir string) (int, bool) {
	best, length := 0, -1
	for i, row := range ranks {
		for _, pattern := range row {
			p := strings.TrimSuffix(pattern, "/*")
			fits := dir == pattern || strings.HasPrefix(dir, p+"/")
			if fits && len(pattern) > length {
				best, length = len(ranks)-i, len(pattern)
			}
		}
	}
	return best, length >= 0 || in(dir, outside) || in(dir, []string{"internal"}) || isKit(dir)
}

// refuse says why f may not import our package to, or "".
func refuse(f *source, to string) string {
	from := f.dir
	switch {
	case in(to, outside) || in(to, []string{"cmd"}):
		return "nothing imports programs and test trees"
	case isKit(to):
		if f.test || isKit(from) || in(from, outside) || to == from {
			return ""
		}
		return "a test kit is for _test.go files only"
	case f.test || isKit(from) || in(from, outside):
		if to == "server" && !in(from, []string{"cmd", "server", "test", "bench", "internal/peers"}) {
			return "only cmd and the test tree know the composition root"
		}
		return ""
	case from == "mail":
		return "mail imports the standard library only"
	case in(to, []string{"internal"}):
		return ""
	case in(from, []string{"internal"}):
		if to == "mail" || in(to, []string{"message"}) {
			return ""
		}
		return "what lies in internal and is no test kit may import mail and message only"
	}
	return refuseRank(from, to)
}

func refuseRank(from, to string) string {
	hi, _ := rankOf(from)
	lo, ok := rankOf(to)
	switch {
	case to == "server" && !in(from, []string{"cmd"}):
		return "only cmd imports the composition root"
	case isEngine(to) && from != "server" && !(isEngine(from) && (in(to, []string{from}) || in(from, []string{to}))):
		return "only server names an engine; use the interface in store/engine"
	case to == "store/engine" && !slices.Contains(engineUsers, from) && !isEngine(from):
		return "front ends and readers do not know the engine; use the API of store, directory or queue"
	case slices.Contains(frontEnds, from) && to == "queue":
		return "front ends do not know the queue; mail goes through delivery"
	case slices.Contains(frontEnds, from) && slices.Contains(frontEnds, to) && !(from == "web" && to == "jmap"):
		return "front ends do not import each other"
	case from == "store" && !in(to, []string{"mail", "message", "store"}):
		return "the store knows no protocol and no configuration; it imports mail, message and store/engine"
	case in(to, []string{from}): // its own directory below
		return ""
	case !ok:
		return "that package has no rank: give it its place in internal/lint/layers_test.go"
	case lo >= hi:
		return "it does not lie below (see docs/architecture.md); move the shared part down, or take an interface"
	}
	return ""
}

// foreign says why f may not name a third-party module.
func foreign(f *source, mod string) string {
	kit := f.test || isKit(f.dir) || in(f.dir, outside)
	if slices.Contains(testModules, mod) {
		if kit {
			return ""
		}
		return "this module is for tests"
	}
	if f.dir == "mail" {
		return "mail imports the standard library only"
	}
	if own, ok := owners[mod]; ok && !slices.Contains(own, f.dir) && !in(f.dir, outside) {
		return "only " + strings.Join(own, " and ") + " may name this module"
	}
	return ""
}

// refuseStd says why f may not import a package of the standard library.
func refuseStd(f *source, p string) string {
	if !f.test && in(f.dir, sansIO) && slices.Contains(ioPackages, p) {
		return "this package does no I/O and takes time and randomness as parameters"
	}
	return ""
}

// shared finds modules that several packages name. golang.org/x is the Go
// project's own and counts as the standard library.
func shared(users map[string]map[string]bool) []string {
	var out []string
	for _, mod := range slices.Sorted(maps.Keys(users)) {
		if _, owned := owners[mod]; owned || len(users[mod]) < 2 || strings.HasPrefix(mod, "golang.org/x/") {
			continue
		}
		out = append(out, fmt.Sprintf("module %s is named by %s: one package owns a third-party module, others use that package",
			mod, strings.Join(slices.Sorted(maps.Keys(users[mod])), ", ")))
	}
	return out
}

// moduleOf finds the module in go.mod that holds package p; "" is the standard
// library.
func moduleOf(goMod, p string) string {
	var found []string
	for line := range strings.Lines(goMod) {
		w := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(w) >= 2 && strings.HasPrefix(w[1], "v") && (p == w[0] || strings.HasPrefix(p, w[0]+"/")) {
			found = append(found, w[0])
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
}

func TestLayersRules(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{
		{"imap/a.go", "posthouse/store", ""},
		{"imap/a.go", "posthouse/imap/wire", ""},
		{"imap/wire/a.go", "posthouse/imap", "does not lie below"},
		{"imap/a.go", "posthouse/smtp", "front ends do not import each other"},
		{"imap/a.go", "posthouse/queue", "do not know the queue"},
		{"imap/a.go", "posthouse/store/engine", "do not know the engine"},
		{"imap/a.go", "posthouse/store/engine/mem", "only server names an engine"},
		{"imap/a_test.go", "posthouse/store/engine/mem", ""},
		{"admin/a.go", "posthouse/store/engine", ""},
		{"admin/a.go", "posthouse/store/engine/local", "only server names an engine"},
		{"server/a.go", "posthouse/store/engine/local", ""},
		{"store/a.go", "posthouse/store/engine", ""},
		{"store/a.go", "posthouse/store/engine/local", "only server names an engine"},
		{"store/engine/a.go", "posthouse/store/engine/local", "only server names an engine"},
		{"store/a.go", "posthouse/config", "knows no protocol"},
		{"store/a.go", "posthouse/directory", "knows no protocol"},
		{"store/engine/local/a.go", "posthouse/store/engine", ""},
		{"store/engine/local/a.go", "posthouse/store", "does not lie below"},
		{"store/engine/local/a.go", "posthouse/store/engine/local/journal", ""},
		{"store/engine/a.go", "posthouse/mail", ""},
		{"directory/a.go", "posthouse/store", "does not lie below"},
		{"queue/a.go", "posthouse/smtpclient", ""},
		{"smtpclient/a.go", "posthouse/smtp/wire", ""},
		{"smtpclient/a.go", "posthouse/queue", "does not lie below"},
		{"web/a.go", "posthouse/admin", ""},
		{"web/a.go", "posthouse/jmap", ""},
		{"imap/a.go", "posthouse/internal/transcript", "test kit"},
		{"imap/a_test.go", "posthouse/internal/transcript", ""},
		{"imap/a.go", "posthouse/dns/dnstest", "test kit"},
		{"store/enginetest/a.go", "posthouse/store/engine", ""},
		{"queue/a.go", "posthouse/server", "only cmd imports"},
		{"queue/a_test.go", "posthouse/server", "know the composition root"},
		{"test/e2e/a_test.go", "posthouse/server", ""},
		{"cmd/posthouse/a.go", "posthouse/server", ""},
		{"mail/a.go", "posthouse/internal/clock", "standard library only"},
		{"mail/a.go", "os", "does no I/O"},
		{"message/a.go", "crypto/rand", "does no I/O"},
		{"message/a_test.go", "os", ""},
		{"mail/a.go", "example.org/b", "standard library only"},
		{"imap/a.go", "example.org/test/x", "for tests"},
		{"imap/a_test.go", "example.org/test/x", ""},
		{"bench/a.go", "posthouse/imap/wire", ""},
		{"imap/a.go", "posthouse/bench", "nothing imports programs"},
		{"internal/clock/a.go", "posthouse/store", "internal"},
		{"stores/a.go", "os", "has no rank"},
	} {
		t.Run(c.file+" "+c.imports, func(t *testing.T) {
			tr := of(t, map[string]string{c.file: "package x\nimport _ \"" + c.imports + "\"\n"})
			finds(t, layers(tr), c.want)
		})
	}
	finds(t, layers(of(t, map[string]string{
		"imap/a.go":      "package imap\nimport _ \"example.org/b/x\"\n",
		"smtp/a.go":      "package smtp\nimport _ \"example.org/b/y\"\n",
		"pop3/a_test.go": "package pop3\nimport _ \"example.org/b/y\"\n",
	})), "module example.org/b is named by imap, smtp")
}
