package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// syncMessages is how many messages each connection sends while syncs are counted.
const syncMessages = 50

// countSyncs runs a row for a moment under strace and gives the number of
// fsync, fdatasync, sync_file_range and msync calls a message.
func countSyncs(ctx context.Context, p *peer, w workload, size int) (float64, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return 0, err
	}
	clients, err := connectAll(p, w, size)
	defer closeAll(clients)
	if err != nil {
		return 0, err
	}
	if _, err := drive(ctx, p, clients, size, effort{each: 2}); err != nil {
		return 0, err
	}
	args := []string{"-f", "-c", "-S", "calls", "-U", "calls,name", "-e", "trace=fsync,fdatasync,sync_file_range,msync,syncfs,sync"}
	for _, pid := range tree(p.roots()) {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	cmd := exec.Command("strace", args...)
	attached := &watcher{want: "attached", seen: make(chan struct{})}
	cmd.Stderr = attached
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	select {
	case <-attached.seen:
	case <-time.After(5 * time.Second):
	}
	times, err := drive(ctx, p, clients, size, effort{each: syncMessages})
	time.Sleep(settle)
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait() // ends by our signal
	if err != nil {
		return 0, err
	}
	n, ok := sumCalls(attached.text.String())
	if !ok {
		return 0, fmt.Errorf("strace: %s", strings.TrimSpace(attached.text.String()))
	}
	return float64(n) / float64(len(times)), nil
}

// A watcher keeps what a program says and tells when it has said a word.
type watcher struct {
	text bytes.Buffer
	want string
	seen chan struct{}
	told bool
}

func (w *watcher) Write(b []byte) (int, error) {
	n, err := w.text.Write(b)
	if !w.told && strings.Contains(w.text.String(), w.want) {
		w.told = true
		close(w.seen)
	}
	return n, err
}

// sumCalls adds up strace's table of calls; ok is false if strace could not attach.
func sumCalls(table string) (n int, ok bool) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) >= 2 && strings.Contains(f[len(f)-1], "sync") {
			if k, err := strconv.Atoi(f[0]); err == nil {
				n += k
			}
		}
	}
	return n, strings.Contains(table, "attached")
}
