package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/server"
)

// A command that meets a server which holds the store and does not answer waits
// until the store is free.
func TestWaitsForAStart(t *testing.T) {
	cfg := config.Default()
	cfg.Data = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	holder, err := server.OpenStopped(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{data: cfg.Data}
	if err := a.reach(ctx, cfg, "domain.add"); !errors.Is(err, server.ErrInUse) {
		t.Fatalf("while the store is held: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.call(ctx, "domain.add", admin.Named{Name: "home.test"}, &admin.Domain{}) }()
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}
