package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"posthouse/admin"
	"posthouse/config"
	"posthouse/mail"
	"posthouse/server"
)

// The exit codes, as the manual promises them.
const (
	exitDone = iota
	exitFailed
	exitUsage
	exitNotFound
	exitRefused
	exitUnreachable
	exitProblems
)

const defaultConfig = "/etc/posthouse/posthouse.toml"

// An app is one run of the command.
type app struct {
	in          io.Reader
	out, errOut io.Writer
	tty         bool // a person is at both ends

	configFile string
	data       string
	json       bool
	quiet      bool

	caller admin.Caller
	close  func() error
}

// exitError carries an exit code of its own. Without text nothing is printed.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...)}
}

// run runs the command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	err := root.ExecuteContext(ctx)
	if a.close != nil {
		err = errors.Join(err, a.close())
	}
	if err == nil {
		return exitDone
	}
	if text := errorText(err); text != "" {
		fmt.Fprintln(a.errOut, "posthouse: "+text)
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "posthouse", Short: "A complete mail server",
		Long: "Posthouse is a complete mail server in one program.\n\n" +
			"  posthouse demo                         try it: two people and their mail, on this computer only\n" +
			"  posthouse serve --config FILE          run it\n" +
			"  posthouse account add ada@example.org  give somebody a mailbox",
		SilenceUsage: true, SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.configFile, "config", "", "configuration `file` (default "+defaultConfig+" if it is there)")
	f.StringVar(&a.data, "data", "", "data `directory`, instead of the one in the configuration")
	f.BoolVar(&a.json, "json", false, "print one JSON object")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print names or ids only")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	root.AddCommand(a.demoCommand(), a.serveCommand(), a.accountCommand(), a.domainCommand(), a.aliasCommand(), a.maskCommand(), a.senderCommand(),
		a.queueCommand(), a.traceCommand(), a.reportCommand(), a.banCommand(), a.configCommand(), a.checkCommand(), a.backupCommand(), a.restoreCommand(), a.standbyCommand(), a.statusCommand(), a.versionCommand())
	return root
}

// noun is a command that only has verbs below it.
func noun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		hint := ""
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			hint = ". Did you mean " + strings.Join(s, " or ") + "?"
		}
		return usage("%s has no verb %q%s", name, args[0], hint)
	}, Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2}
	c.AddCommand(verbs...)
	return c
}

// exactly asks for n arguments and says which.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%s needs %s, as: %s", strings.TrimPrefix(c.CommandPath(), "posthouse "), what, example(c))
		}
		return nil
	}
}

func atLeast(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("%s needs %s, as: %s", strings.TrimPrefix(c.CommandPath(), "posthouse "), what, example(c))
		}
		return nil
	}
}

func example(c *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n")
	return strings.TrimSpace(line)
}

// config reads the configuration that the flags and the environment name.
func (a *app) config() (config.Config, error) {
	path := a.configFile
	if path == "" {
		path = os.Getenv("POSTHOUSE_CONFIG")
	}
	cfg := config.Default()
	if path == "" {
		if _, err := os.Stat(defaultConfig); err == nil {
			path = defaultConfig
		}
	}
	if path != "" {
		var err error
		if cfg, err = config.Load(path); err != nil {
			return cfg, err
		}
	}
	if a.data != "" {
		cfg.Data = a.data
	} else if dir := os.Getenv("POSTHOUSE_DATA"); dir != "" && a.configFile == "" {
		cfg.Data = dir
	}
	return cfg, nil
}

// call runs an operation: on the running server, or else on the store itself.
func (a *app) call(ctx context.Context, name string, in, out any) error {
	if a.caller == nil {
		if err := a.connect(ctx, name); err != nil {
			return err
		}
	}
	return a.caller.Call(ctx, name, in, out)
}

// patience is how long a server that starts or stops may take to answer, or to be gone.
const patience = 5 * time.Second

func (a *app) connect(ctx context.Context, name string) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; {
		err := a.reach(ctx, cfg, name)
		switch {
		case !errors.Is(err, server.ErrInUse):
			return err
		case time.Now().After(end):
			return &exitError{exitUnreachable, fmt.Sprintf("%s is in use, but the server there does not answer (starting, stopping or stuck?)", cfg.Data)}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond): // polling, bounded
		}
	}
}

// reach is one try of connect: ErrInUse if a server has the store and does not answer.
func (a *app) reach(ctx context.Context, cfg config.Config, name string) error {
	client, err := admin.Dial(ctx, cfg.Data)
	if err == nil {
		a.caller = client
		return nil
	}
	if !errors.Is(err, admin.ErrNotRunning) {
		return err
	}
	// Only the first step of a new server makes a store; a wrong path must not.
	if _, err := os.Stat(cfg.Data); err != nil && name != "domain.add" {
		return &exitError{exitUnreachable, fmt.Sprintf("there is no mail in %s. Is --data or --config right? A new server begins with: posthouse domain add example.org", cfg.Data)}
	}
	stopped, err := server.OpenStopped(ctx, cfg)
	if err != nil {
		return err
	}
	a.caller, a.close = stopped.System.Local(), stopped.Close
	return nil
}

// errorText is what a person is told.
func errorText(err error) string {
	var me *mail.Error
	if errors.As(err, &me) {
		if me.Text != "" && errors.Is(err, server.ErrInUse) {
			return me.Text // who holds the lock is all there is to say
		}
		if me.Text != "" && (me.Kind != mail.Internal && me.Kind != mail.Unavailable && me.Kind != mail.Corrupt || me.Err == nil) {
			return me.Text
		}
		return me.Error()
	}
	// cobra's own suggestion stands on lines of its own.
	text := strings.TrimSpace(err.Error())
	return strings.NewReplacer("\n\nDid you mean this?\n\t", ". Did you mean ", "\n\t", " or ").Replace(text)
}

func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	var ps config.Problems
	if errors.As(err, &ps) {
		return exitUsage
	}
	var me *mail.Error
	if errors.As(err, &me) {
		switch me.Kind {
		case mail.Invalid, mail.TooLarge:
			return exitUsage
		case mail.NotFound:
			return exitNotFound
		case mail.Denied:
			return exitRefused
		case mail.Unavailable:
			return exitUnreachable
		}
		return exitFailed
	}
	if strings.HasPrefix(err.Error(), "unknown command") {
		return exitUsage
	}
	return exitFailed
}
