package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"posthouse/server"
)

// demoLive is how often a new message comes to a demo.
const demoLive = 40 * time.Second

func (a *app) demoCommand() *cobra.Command {
	var keep string
	var noOpen, quiet bool
	var base int
	var freeDisk int64
	c := &cobra.Command{
		Use: "demo", Short: "Try it: two people and their mail, on this computer only", Args: exactly(0, "no name"),
		Long: "A whole server with two people and their mail. It needs no rights, listens on 127.0.0.1 only,\n" +
			"sends nothing off this computer and leaves nothing behind.",
		Example: "  posthouse demo\n  posthouse demo --keep ~/demo --port-base 10000",
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("port-base") && (base < 0 || base > 65535-server.DemoPorts) {
				return usage("--port-base is not a number from 0 to %d", 65535-server.DemoPorts)
			}
			o := server.DemoOptions{FreeDisk: freeDisk, Keep: keep, Log: a.errOut, PortBase: -1, Live: demoLive}
			if quiet {
				o.Live = 0
			}
			if c.Flags().Changed("port-base") {
				o.PortBase = base
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP) // the terminal was closed
			defer stop()
			d, err := server.StartDemo(ctx, o)
			if err != nil {
				return err
			}
			d.Announce(a.out)
			if !noOpen && a.tty {
				openBrowser(d.URL())
			}
			return d.Wait(ctx)
		},
	}
	c.Flags().StringVar(&keep, "keep", "", "keep the data in `directory`, and go on with it next time")
	c.Flags().BoolVar(&noOpen, "no-open", false, "open no browser")
	c.Flags().BoolVar(&quiet, "quiet", false, "no guide, nothing snoozed or scheduled, and no new mail by itself")
	c.Flags().IntVar(&base, "port-base", 0, "listen on `N`+25, +143, +465, +587, +993 and +80 (default: the first free from 10000)")
	c.Flags().Int64Var(&freeDisk, "free-disk", 0, "take no mail with fewer than `N` bytes free: to see what people see when a disk is full")
	_ = c.Flags().MarkHidden("free-disk")
	return c
}

// openBrowser shows the page where there is a desktop; a failure is no failure.
func openBrowser(url string) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	cmd := exec.Command("xdg-open", url)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "posthouse: cannot open a browser:", err)
		return
	}
	go func() { _ = cmd.Wait() }()
}
