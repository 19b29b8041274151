package smtp

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posthouse/store/engine/mem"
)

// TestSwaks lets swaks, a client that was not written by us, talk to each face.
func TestSwaks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	program, err := exec.LookPath("swaks")
	if err != nil {
		missingPeer(t, "swaks is not installed")
	}
	h := newHouse(t, mem.New(), nil)
	socket := filepath.Join(t.TempDir(), "lmtp")
	l, err := net.Listen("unix", socket)
	must(t, err)
	go func() { _ = h.srv.Serve(context.Background(), l, LMTP) }()
	mx, sub, subs := h.listen(MX), h.listen(Submission), h.listen(Submissions)
	login := []string{"--from", "ada@demo.test", "--auth-user", "ada@demo.test", "--auth-password", "demo"}
	for _, tt := range []struct {
		name   string
		args   []string
		status int // swaks: 0 accepted, 24 no recipient taken, 28 login refused
		with   string
	}{
		{"mx", []string{"--server", mx, "--from", "eve@far.test", "--to", "ben@demo.test"}, 0, "with ESMTP id"},
		{"mx pipelined", []string{"--server", mx, "--pipeline", "--from", "eve@far.test", "--to", "ben@demo.test"}, 0, "with ESMTP id"},
		{"mx tls", []string{"--server", mx, "--tls", "--from", "<>", "--to", "ben@demo.test"}, 0, "with ESMTPS id"},
		{"mx relay", []string{"--server", mx, "--from", "eve@far.test", "--to", "any@far.test"}, 24, ""},
		{"submission plain", append([]string{"--server", sub, "--tls", "--auth", "PLAIN", "--to", "ben@demo.test"}, login...), 0, "with ESMTPSA id"},
		{"submission login", append([]string{"--server", sub, "--tls", "--auth", "LOGIN", "--to", "ben@demo.test"}, login...), 0, "with ESMTPSA id"},
		{"submission in the clear", append([]string{"--server", sub, "--auth", "PLAIN", "--to", "ben@demo.test"}, login...), 28, ""},
		{"submissions", append([]string{"--server", subs, "--tls-on-connect", "--auth", "--to", "ben@demo.test"}, login...), 0, "with ESMTPSA id"},
		{"submissions wrong", []string{"--server", subs, "--tls-on-connect", "--auth", "--from", "ada@demo.test", "--auth-user", "ada@demo.test",
			"--auth-password", "no", "--to", "ben@demo.test"}, 28, ""},
		{"lmtp", []string{"--socket", socket, "--protocol", "LMTP", "--from", "eve@far.test", "--to", "ben@demo.test,ada@demo.test"}, 0, "with LMTP id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(h.inbox("ben@demo.test"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, program, append(tt.args, "--helo", "swaks.test", "--body", "this is the body")...).CombinedOutput()
			status := 0
			if exit, ok := err.(*exec.ExitError); ok {
				status = exit.ExitCode()
			}
			if strings.Contains(string(out), "requires Net::SSLeay") {
				missingPeer(t, "swaks lacks libnet-ssleay-perl")
			}
			if status != tt.status {
				t.Fatalf("swaks ends with %d:\n%s", status, out)
			}
			got := h.inbox("ben@demo.test")
			if tt.status == 0 && (len(got) != before+1 || !strings.Contains(got[before], tt.with) || !strings.Contains(got[before], "this is the body")) {
				t.Errorf("%d messages, %q\n%s", len(got), got[len(got)-1:], out)
			}
		})
	}
}

// missingPeer skips, but where CI says that it has installed all mail programs.
func missingPeer(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("POSTHOUSE_NEED_PEERS") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
