package transcript

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A Script is one dialogue, read from its file.
type Script struct {
	File     string
	Name     string            // of the file, without ".txt"
	Settings map[string]string // the "! name args" lines before the first step

	lines []string
	steps []step
}

type stepKind uint8

const (
	send stepKind = iota
	expect
	action
)

// A step is one C, S or ! line.
type step struct {
	kind    stepKind
	line    int    // index in Script.lines
	label   string // of the connection
	raw     bool   // C~
	literal bool   // C| and S|
	anyway  bool   // S&: in any order among its like
	repeat  int
	text    string // of an action: its arguments
	name    string // of an action
}

var (
	citeRE   = regexp.MustCompile(`^# (RFC \d+( §[0-9A-Z][0-9A-Za-z.]*)?.*: ?\S|Quirk: \S)`)
	stepRE   = regexp.MustCompile(`^([CS])(\d*)([~|&]?)(?:\*(\d+))?:(?: (.*)|)$`)
	actionRE = regexp.MustCompile(`^! ([a-z][a-z0-9_.-]*)(?: (.*)|)$`)
)

func load(file string) (*Script, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(file, string(text))
}

func parse(file, text string) (*Script, error) {
	s := &Script{File: file, Name: strings.TrimSuffix(filepath.Base(file), ".txt"), Settings: map[string]string{}}
	s.lines = strings.Split(text, "\n")
	if !citeRE.MatchString(s.lines[0]) {
		return nil, fmt.Errorf("%s:1: the first line must cite what the dialogue shows, as \"# RFC 9051 §6.3.2: SELECT …\" or \"# Quirk: client, year: …\"", file)
	}
	started := false
	for i, line := range s.lines {
		if line == "" || line[0] == '#' {
			continue
		}
		if m := actionRE.FindStringSubmatch(line); m != nil {
			if !started {
				s.Settings[m[1]] = m[2]
			}
			s.steps = append(s.steps, step{kind: action, line: i, name: m[1], text: m[2]})
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
		st.line, started = i, true
		s.steps = append(s.steps, st)
	}
	if !started {
		return nil, fmt.Errorf("%s: has no steps", file)
	}
	return s, nil
}

func parseStep(line string) (step, error) {
	m := stepRE.FindStringSubmatch(line)
	if m == nil {
		return step{}, fmt.Errorf("not a C, S, ! or # line: %s", line)
	}
	st := step{kind: send, label: m[2], repeat: 1, text: m[5],
		raw: m[3] == "~", literal: m[3] == "|", anyway: m[3] == "&"}
	if m[1] == "S" {
		st.kind = expect
	}
	if st.kind == send && st.anyway || st.kind == expect && (st.raw || m[4] != "") {
		return step{}, fmt.Errorf("%s is no step: %s", strings.SplitN(line, ":", 2)[0], line)
	}
	if m[4] != "" {
		n, err := strconv.Atoi(m[4])
		if err != nil {
			return step{}, err
		}
		st.repeat = n
	}
	return st, nil
}
