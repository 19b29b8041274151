package transcript

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The steps that are not text.
const (
	stepClose  = "<close>"  // C
	stepTLS    = "<tls>"    // C
	stepClosed = "<closed>" // S
	stepAny    = "<any>"    // S
)

// quiet is how long -update waits before it takes it that the server has said
// all that it has to say. Only a rewriting run waits for it.
const quiet = 300 * time.Millisecond

// A player plays one script against one server.
type player struct {
	script   *Script
	timeout  time.Duration
	tls      *tls.Config
	again    bool // play a second time, bytewise
	bytewise bool
	update   bool

	t      fataler
	server Server
	conns  map[string]*conn
	vars   vars
	edits  map[int][]string // by line: what replaces it
}

// A fataler is the part of testing.T that ends a failed dialogue.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

func (p *player) run(t *testing.T, start Start) {
	p.playAll(t, start(t, p.script))
}

// playAll plays the script on a copy of p, so that p can be played again.
func (p player) playAll(t fataler, server Server) {
	p.t, p.server = t, server
	p.conns, p.vars, p.edits = map[string]*conn{}, vars{}, map[int][]string{}
	t.Cleanup(func() {
		for _, c := range p.conns {
			c.shut()
		}
	})
	for i := 0; i < len(p.script.steps); {
		i += p.play(i)
	}
	p.finish()
	if p.update {
		p.rewrite()
	}
}

// play does step i, with those that go with it, and says how many they are.
func (p *player) play(i int) int {
	st := p.script.steps[i]
	switch {
	case st.kind == action:
		p.act(i)
		return 1
	case st.kind == expect:
		n := 1
		for i+n < len(p.script.steps) && p.script.steps[i+n].kind == expect && p.script.steps[i+n].label == st.label {
			n++
		}
		p.expect(i, n)
		return n
	}
	p.send(i)
	return 1
}

func (p *player) fail(st step, format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s:%d: %s", p.script.File, st.line+1, fmt.Sprintf(format, args...))
}

func (p *player) conn(st step) *conn {
	if c := p.conns[st.label]; c != nil {
		return c
	}
	nc, err := p.server.Dial(st.label)
	if err != nil {
		p.fail(st, "cannot connect: %v", err)
	}
	c := newConn(nc, p.timeout, p.bytewise)
	p.conns[st.label] = c
	return c
}

func (p *player) act(i int) {
	st := p.script.steps[i]
	do, ok := p.server.Do[st.name]
	if !ok {
		if _, set := p.script.Settings[st.name]; set {
			return
		}
		p.fail(st, "the server has no action %q", st.name)
	}
	p.flushAll()
	if err := do(expand(st.text, false, p.vars)); err != nil {
		p.fail(st, "! %s: %v", st.name, err)
	}
}

// flushAll sends what C steps of all connections left to be sent.
func (p *player) flushAll() {
	for _, c := range p.conns {
		c.flush()
	}
}

func (p *player) send(i int) {
	st := p.script.steps[i]
	c := p.conn(st)
	if !st.raw {
		switch st.text {
		case stepClose:
			c.shut()
			delete(p.conns, st.label)
			return
		case stepTLS:
			if p.tls == nil {
				p.fail(st, "no TLS option was given")
			}
			if err := c.startTLS(p.tls); err != nil {
				p.fail(st, "starting TLS: %v", err)
			}
			return
		}
	}
	text := p.clientText(i)
	for range st.repeat {
		c.out = append(c.out, text...)
	}
	// What the next step does not send too must leave now.
	if next := i + 1; next == len(p.script.steps) || p.script.steps[next].kind != send || p.script.steps[next].label != st.label {
		c.flush()
	}
}

// clientText is what step i sends once.
func (p *player) clientText(i int) string {
	st := p.script.steps[i]
	text := expand(p.withLength(i), st.raw, p.vars)
	if !st.raw {
		text += "\r\n"
	}
	return text
}

// withLength is the text of step i with {len} replaced by the size of the
// literal that follows.
func (p *player) withLength(i int) string {
	st := p.script.steps[i]
	if !strings.Contains(st.text, "{len") {
		return st.text
	}
	n := 0
	for j := i + 1; j < len(p.script.steps); j++ {
		next := p.script.steps[j]
		if next.kind != st.kind || next.label != st.label {
			continue
		}
		if !next.literal {
			break
		}
		n += next.repeat * (len(expand(next.text, false, p.vars)) + len("\r\n"))
	}
	return strings.NewReplacer("{len}", "{"+strconv.Itoa(n)+"}", "{len+}", "{"+strconv.Itoa(n)+"+}").Replace(st.text)
}

// expect plays the n S steps from i, which are one connection's.
func (p *player) expect(i, n int) {
	p.flushAll()
	c := p.conn(p.script.steps[i])
	var heard []string
	for k := 0; k < n; {
		group := 1
		for p.script.steps[i+k].anyway && k+group < n && p.script.steps[i+k+group].anyway {
			group++
		}
		bad, why := p.expectGroup(c, i+k, group, &heard)
		if why != "" {
			if p.update {
				p.relearn(c, i, n, heard)
				return
			}
			p.fail(p.script.steps[bad], "%s", why)
		}
		k += group
	}
}

// expectGroup plays S steps that may come in any order (mostly one). It returns
// the step that failed, and why, or "".
func (p *player) expectGroup(c *conn, i, n int, heard *[]string) (int, string) {
	open := make([]int, n)
	for k := range open {
		open[k] = i + k
	}
	if p.script.steps[i].text == stepAny {
		return i, p.skip(c, i, heard)
	}
	for len(open) > 0 {
		got, err := c.line()
		if err == nil {
			*heard = append(*heard, got)
		}
		hit := -1
		for k, j := range open {
			if p.wants(j, got, err) {
				hit = k
				break
			}
		}
		if hit < 0 {
			return open[0], p.complaint(c, open, got, err)
		}
		open = append(open[:hit], open[hit+1:]...)
	}
	return 0, ""
}

// wants reports whether step i is met by the line got, or by err.
func (p *player) wants(i int, got string, err error) bool {
	if p.script.steps[i].text == stepClosed {
		return errors.Is(err, errClosed)
	}
	return err == nil && match(p.withLength(i), got, p.vars)
}

// skip plays <any>: it leaves the line that the step after i wants to be read.
func (p *player) skip(c *conn, i int, heard *[]string) string {
	if i+1 == len(p.script.steps) || p.script.steps[i+1].kind != expect || p.script.steps[i+1].label != p.script.steps[i].label {
		return stepAny + " needs an S step after it"
	}
	for {
		got, err := c.line()
		if p.wants(i+1, got, err) {
			c.unread(got, err)
			return ""
		}
		if err != nil {
			return p.complaint(c, []int{i + 1}, got, err)
		}
		*heard = append(*heard, got)
	}
}

func (p *player) complaint(c *conn, open []int, got string, err error) string {
	var b strings.Builder
	label := p.script.steps[open[0]].label
	for _, i := range open {
		fmt.Fprintf(&b, "\nwant S%s: %s", label, p.script.steps[i].text)
	}
	switch {
	case errors.Is(err, errClosed):
		fmt.Fprintf(&b, "\n got S%s: %s", label, stepClosed)
	case err != nil:
		fmt.Fprintf(&b, "\n got nothing: %v", err)
		if got != "" {
			fmt.Fprintf(&b, "\n  but S%s~: %s", label, spell(got))
		}
	default:
		fmt.Fprintf(&b, "\n got S%s: %s", label, spell(got))
		for _, more := range c.buffered() {
			fmt.Fprintf(&b, "\nthen S%s: %s", label, spell(more))
		}
	}
	if len(p.vars) > 0 {
		fmt.Fprintf(&b, "\nwith %v", p.vars)
	}
	if err := c.sendError(); err != nil {
		fmt.Fprintf(&b, "\nand sending failed: %v", err)
	}
	return b.String()
}

// finish fails if the connection of the last step has said more than was asked.
// Other connections may have: nothing says when they had to stop.
func (p *player) finish() {
	last := p.script.steps[len(p.script.steps)-1]
	c := p.conns[last.label]
	if c == nil || last.kind != expect {
		return
	}
	if more := c.buffered(); len(more) > 0 && !p.update {
		p.fail(last, "the server said more: %q", more)
	}
}

// relearn takes what the server says, all of it, in place of the n S steps from
// i, keeping those that match. heard was read already.
func (p *player) relearn(c *conn, i, n int, heard []string) {
	c.timeout = quiet
	closed := false
	for {
		got, err := c.line()
		if err != nil {
			closed = errors.Is(err, errClosed)
			break
		}
		heard = append(heard, got)
	}
	c.timeout = p.timeout
	lines := p.align(i, n, heard)
	if closed {
		lines = append(lines, "S"+p.script.steps[i].label+": "+stepClosed)
	}
	for k := range n {
		p.edits[p.script.steps[i+k].line] = nil
	}
	p.edits[p.script.steps[i].line] = lines
}

// align spells what was heard as S lines, with the lines of the n steps from i
// where they match.
func (p *player) align(i, n int, heard []string) []string {
	var lines []string
	keep := func(j int) { lines = append(lines, p.script.lines[p.script.steps[j].line]) }
	next, end := i, i+n
	for _, got := range heard {
		if next+1 < end && p.script.steps[next].text == stepAny {
			if match(p.withLength(next+1), got, p.vars) {
				keep(next)
				keep(next + 1)
				next += 2
			}
			continue
		}
		hit := next
		for hit < end && !match(p.withLength(hit), got, p.vars) {
			hit++
		}
		if hit < end {
			keep(hit)
			next = hit + 1
			continue
		}
		lines = append(lines, strings.TrimRight("S"+p.script.steps[i].label+": "+abbreviate(got), " "))
	}
	return lines
}

// rewrite writes the script's file anew with its edits.
func (p *player) rewrite() {
	if len(p.edits) == 0 {
		return
	}
	var out []string
	for i, line := range p.script.lines {
		if repl, ok := p.edits[i]; ok {
			out = append(out, repl...)
		} else {
			out = append(out, line)
		}
	}
	if err := os.WriteFile(p.script.File, []byte(strings.Join(out, "\n")), 0o644); err != nil {
		p.t.Fatalf("%v", err)
	}
}
