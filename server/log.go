package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"posthouse/config"
)

// NewLogger returns the logger that c asks for, writing to w: for people on a
// terminal, JSON elsewhere.
func NewLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levelNamed(c.Level))
	human := c.Format == "human" || c.Format == "auto" && isTerminal(w)
	if human {
		return slog.New(&humanHandler{level: level, out: &lockedWriter{w: w}}), level
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), level
}

// levelNamed is the level of a name that config has checked.
func levelNamed(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo
	}
	return l
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// humanHandler writes one line for each record: time, level, message and
// attributes as name=value. What others may have chosen is quoted where it holds
// anything but plain text, so no peer can write a line of the log.
type humanHandler struct {
	level slog.Leveler
	out   *lockedWriter
	attrs string // of With, ready
	group string // prefix of names
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Enabled reports whether records of a level are written.
func (h *humanHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle writes a record.
func (h *humanHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.Local().Format("15:04:05.000"))
	fmt.Fprintf(&b, " %-5s %s", r.Level, quote(r.Message))
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	b.WriteByte('\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

// WithAttrs returns a handler whose records all have attrs.
func (h *humanHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		appendAttr(&b, h.group, a)
	}
	next := *h
	next.attrs = b.String()
	return &next
}

// WithGroup returns a handler that puts name before the names of attributes.
func (h *humanHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.group += name + "."
	return &next
}

func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, inner := range v.Group() {
			appendAttr(b, group+a.Key+".", inner)
		}
		return
	}
	if a.Key == "" {
		return
	}
	s := v.String()
	switch v.Kind() {
	case slog.KindTime:
		s = v.Time().Format(time.RFC3339)
	case slog.KindDuration:
		s = v.Duration().Round(time.Microsecond).String()
	}
	b.WriteString(" " + group + a.Key + "=" + quoteValue(s))
}

// quote makes a message safe to print.
func quote(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}

// quoteValue also quotes what would be mistaken for several attributes.
func quoteValue(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' || r == '"' || r == '=' }) {
		return strconv.Quote(s)
	}
	return s
}
