// Command posthouse is the mail server and everything that administers it.
//
// Each noun has its file; what a verb does is an operation of package admin,
// called on the running server or on a stopped one's store. Output is a table
// for people or, with --json, one stable object. Exit codes: 0 done, 1 failed,
// 2 wrong usage, 3 not found, 4 refused, 5 the server cannot be reached, 6 check
// found problems.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C ends at once
	}()
	a := &app{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, tty: isTerminal(os.Stdout) && isTerminal(os.Stdin)}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
