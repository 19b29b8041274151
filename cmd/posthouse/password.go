package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"posthouse/directory"
)

// passwordFlags are how a password gets in: never as an argument, which every
// user of the machine could read.
type passwordFlags struct {
	stdin, generate bool
}

func (p *passwordFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input, one line")
	c.Flags().BoolVar(&p.generate, "generate", false, "make a password and print it")
	c.MarkFlagsMutuallyExclusive("password-stdin", "generate")
}

// read returns the password: generated, from standard input, or asked for.
func (p *passwordFlags) read(a *app, who string) (string, error) {
	switch {
	case p.generate:
		return directory.NewPassword(), nil
	case p.stdin:
		return firstLine(a.in)
	case !a.tty:
		return "", usage("a password is needed: pipe it in with --password-stdin, or have one made with --generate")
	}
	first, err := a.ask("Password for " + who + ": ")
	if err != nil {
		return "", err
	}
	again, err := a.ask("Once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", usage("the two are not the same: nothing was changed")
	}
	return first, nil
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usage("standard input has no password")
	}
	return line, nil
}

// ask reads a line without showing it.
func (a *app) ask(prompt string) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok {
		return "", usage("cannot ask for a password here: use --password-stdin")
	}
	fmt.Fprint(a.errOut, prompt)
	defer fmt.Fprintln(a.errOut)
	old, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return "", err
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &quiet); err != nil {
		return "", err
	}
	defer func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, old) }()
	return readLine(f)
}

// readLine reads byte by byte: what follows belongs to the next question.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < 4096 {
		n, err := r.Read(b[:])
		if n == 1 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
		if err != nil {
			if len(line) == 0 {
				return "", err
			}
			break
		}
	}
	return strings.TrimRight(string(line), "\r"), nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
