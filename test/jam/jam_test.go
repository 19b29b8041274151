// Package jam runs a public JMAP client, jmap-jam from npm, against a whole server.
package jam

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"posthouse/server"
)

func TestJam(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		if os.Getenv("POSTHOUSE_NEED_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip("npm is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "client.mjs"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
		out, err := cmd.CombinedOutput()
		if err != nil && name == npm && os.Getenv("POSTHOUSE_NEED_PEERS") != "1" {
			t.Skipf("npm ci: %v\n%s", err, out)
		}
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")

	d, err := server.StartDemo(ctx, server.DemoOptions{PortBase: -1, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	waiting, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- d.Wait(waiting) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	run("node", "client.mjs", d.URL()+".well-known/jmap", token(t, d.URL()), "ada@demo.test", "ben@demo.test")
}

// token logs in for an API client.
func token(t *testing.T, base string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"jmap/login",
		bytes.NewReader([]byte(`{"username":"ada@demo.test","password":"demo","token":true}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Posthouse-Client", "test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	http.DefaultClient.CloseIdleConnections()
	return out.Token
}
