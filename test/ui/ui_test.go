// Package ui holds the acceptance scenarios of the mail client: the real binary, real
// Chromium, another mail program and a stranger's mail server around the same account.
package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"posthouse/web"
)

var benchUI = flag.Bool("bench-ui", false, "measure the mail client")

// TestBench writes the table of docs/benchmarks.md: make bench-ui.
func TestBench(t *testing.T) {
	if !*benchUI {
		t.Skip("make bench-ui")
	}
	need(t)
	cmd := command(t.Context(), t, "bench.mjs")
	cmd.Stdout = os.Stdout
	table, err := filepath.Abs("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "MD="+table)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

// outcome is a line of run.mjs.
type outcome struct {
	Begun, ID, Name, Variant, Pending, Error string
	MS                                       int
}

// need skips a test that lacks a program, or fails it where all must be there.
func need(t *testing.T) {
	t.Helper()
	why := ""
	for _, p := range []string{"node", "chromium"} {
		if _, err := exec.LookPath(p); err != nil {
			why = p + " is not installed"
		}
	}
	if _, err := os.Stat("../../web/ui/node_modules/playwright-core"); err != nil {
		why = "web/ui/node_modules is not there: make ui"
	}
	if !web.Built() {
		why = "the client is not built: make ui"
	}
	if why != "" && os.Getenv("POSTHOUSE_NEED_PEERS") != "" {
		t.Fatal(why)
	}
	if why != "" {
		t.Skip(why)
	}
}

// command runs a script of this directory on a binary built now.
func command(ctx context.Context, t *testing.T, script string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "posthouse")
	build := exec.Command("go", "build", "-o", binary, "posthouse/cmd/posthouse")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ui, err := filepath.Abs("../../web/ui")
	if err != nil {
		t.Fatal(err)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	shots := os.Getenv("POSTHOUSE_SHOTS")
	if shots == "" {
		shots = filepath.Join(os.TempDir(), "posthouse-ui")
	}
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "POSTHOUSE="+binary, "UI="+ui, "SHOTS="+shots, "CHROMIUM="+chromium, "TMPDIR="+dir)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// runTime bounds all scenarios together (four minutes of a busy machine): a hung browser must not take the tests of
// everything else with it.
const runTime = 12 * time.Minute

// TestScenarios runs the forty scenarios; those that wait for another part of the
// system stand as skipped, with what they wait for. Pictures are left in
// $POSTHOUSE_SHOTS.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	need(t)
	limit, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	cmd := command(limit, t, "run.mjs")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ran, open := 0, map[string]bool{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var o outcome
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Errorf("%v: %s", err, lines.Text())
			continue
		}
		if o.Begun != "" {
			open[o.Begun] = true
			continue
		}
		delete(open, o.ID+" "+o.Name+" "+o.Variant)
		t.Run(o.ID+" "+o.Name+" "+o.Variant, func(t *testing.T) {
			switch {
			case o.Pending != "":
				t.Skip("pending: " + o.Pending)
			case o.Error != "":
				t.Errorf("after %d ms: %s", o.MS, o.Error)
			default:
				t.Logf("%d ms", o.MS)
			}
		})
		if o.Pending == "" {
			ran++
		}
	}
	err = cmd.Wait()
	switch {
	case limit.Err() != nil:
		t.Errorf("not done after %v; these were open: %v", runTime, slices.Sorted(maps.Keys(open)))
	case err != nil:
		t.Errorf("the run ended early: %v; these were open: %v", err, slices.Sorted(maps.Keys(open)))
	}
	if ran == 0 {
		t.Error("no scenario ran")
	}
}
