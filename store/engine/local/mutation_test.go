package local

import (
	"strings"
	"testing"
)

func noLie(string) bool { return false }

// TestMutations proves that the tests have teeth: with one sync left out, a check
// skipped or an order broken, the test named here fails. Those in directed run with
// and without the mutation, and want the loss with it and none without.
func TestMutations(t *testing.T) {
	const store, standby, backup = "/srv/store/", standbyDir + "/", backupDir + "/"
	both := mutations{}
	sync := func(is func(path string) bool) func(t *testing.T) error {
		return func(t *testing.T) error { fault, _ := crashEverywhere(t, 1, both, is); return fault }
	}
	order := func(m mutations) func(t *testing.T) error {
		return func(t *testing.T) error { fault, _ := crashEverywhere(t, 1, m, noLie); return fault }
	}
	backups := func(is func(path string) bool) func(t *testing.T) error {
		return func(t *testing.T) error { fault, _, _ := backupCrash(t, 1, is); return fault }
	}
	ship := func(strict bool, m mutations, is func(path string) bool) func(t *testing.T) error {
		return func(t *testing.T) error { fault, _, _ := shipCrash(t, 1, strict, m, is); return fault }
	}
	under := func(dir, part string) func(p string) bool {
		return func(p string) bool { return strings.HasPrefix(p, dir) && strings.Contains(p, part) }
	}
	is := func(name string) func(p string) bool { return func(p string) bool { return p == name } }
	for _, c := range []struct {
		name  string
		crash func(t *testing.T) error
	}{
		{"log not synced", sync(func(p string) bool { return strings.HasSuffix(p, segmentExt) })},
		{"log never synced at all", order(mutations{ackUnsynced: true})},
		{"blobs moved to a file that is not synced", order(mutations{moveUnsynced: true})},
		{"directory of cold files", sync(is(store + "cold/"))},
		{"published before synced", order(mutations{publishEarly: true})},
		{"frames that an older segment left in the file", order(mutations{acceptOld: true})},
		{"log's directory", sync(is(store + "log/"))},
		{"store's directory", sync(is(store))},
		{"store's parent", sync(is("/srv/"))},
		{"FORMAT", sync(under("", "FORMAT"))},
		{"large blobs", sync(func(p string) bool { return strings.Contains(p, "/big/") && !strings.HasSuffix(p, "/") })},
		{"large blobs' directories", sync(func(p string) bool { return strings.Contains(p, "/big/") && strings.HasSuffix(p, "/") })},
		{"index, and a damaged one not made anew", func(t *testing.T) error {
			fault, _ := crashEverywhere(t, 1, mutations{keepIndex: true}, under("", "/kv"))
			return fault
		}},
		{"files of a backup", backups(is(backup + "files/new.tmp"))},
		{"names of a backup's files", backups(func(p string) bool {
			return strings.HasPrefix(p, backup+"files/") && strings.HasSuffix(p, "/") && p != backup+"files/"
		})},
		{"directories of a backup's files", backups(is(backup + "files/"))},
		{"manifest", backups(under(backup, backupExt))},
		{"standby's log", ship(true, both, under(standby+"log/", segmentExt))},
		{"standby's log's directory", ship(true, both, is(standby+"log/"))},
		{"standby's large blobs", ship(true, both, func(p string) bool { return strings.HasPrefix(p, standby+"big/") && !strings.HasSuffix(p, "/") })},
		{"acknowledged before it is shipped", ship(true, mutations{shipLate: true}, noLie)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 20 {
				if fault := c.crash(t); fault != nil {
					t.Logf("found: %v", fault)
					return
				}
			}
			t.Error("not found")
		})
	}
	for name, directed := range map[string]func(t *testing.T){
		"segment removed before the index is flushed":     unlinkNeedsFlush,
		"blob reaped without compare-and-swap":            ownerAgainstReaping,
		"segment written over that a checkpoint shares":   spareNotShared,
		"frames out of sequence believed":                 damagedLog,
		"frames believed whose checksum is wrong":         acceptedChecksum,
		"index of a standby ahead of its log (no sync)":   followerSyncs,
		"standby's claim of what is durable":              tornBatch,
		"shipped to a place that another server has":      unclaimedShips,
		"frames that a killed shipper did not sync count": resumedSyncs,
	} {
		t.Run(name, directed)
	}
}
