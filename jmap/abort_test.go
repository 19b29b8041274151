package jmap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// What fails because its client went away is no fault of the server.
func TestAbortedIsNoError(t *testing.T) {
	var b bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	ctx, cancel := context.WithCancel(t.Context())
	s.failed(ctx, "one", "err", errors.New("x"))
	cancel()
	s.failed(ctx, "two", "err", ctx.Err())
	if got := b.String(); !strings.Contains(got, "level=ERROR msg=one") || !strings.Contains(got, "level=DEBUG msg=two") {
		t.Error(got)
	}
}
