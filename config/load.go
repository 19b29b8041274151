package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	Line int    // from 1; 0 if it has no one place
	Key  string // "" for what is no TOML
	Text string // what is wrong and what to do
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is the error of Load and Parse: everything that is wrong, in the
// order of the file.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// Load reads the file at path. The error is Problems where the file was read.
func Load(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if info.Size() > maxFile {
		return Config{}, fmt.Errorf("cannot read the configuration: %s is larger than 1 MB", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse reads data; file is its name in errors.
func Parse(file string, data []byte) (Config, error) {
	c := Default()
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return c, Problems{syntaxProblem(file, err)}
	}
	p := &parse{file: file, config: &c, lines: linesOf(data), keys: map[string]Key{}}
	for _, k := range Keys() {
		p.keys[k.Name] = k
		if k.Section != "" {
			p.sections = append(p.sections, k.Section)
		}
	}
	p.table("", tree)
	if len(p.problems) == 0 {
		p.check()
	}
	if len(p.problems) > 0 {
		slices.SortFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
		return c, p.problems
	}
	return c, nil
}

func syntaxProblem(file string, err error) Problem {
	p := Problem{File: file, Text: strings.TrimPrefix(err.Error(), "toml: ")}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		p.Line, _ = de.Position()
	}
	return p
}

type parse struct {
	file     string
	config   *Config
	lines    map[string]int
	keys     map[string]Key
	sections []string
	problems Problems
}

func (p *parse) problem(key, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.file, Line: p.lines[key], Key: key, Text: fmt.Sprintf(format, args...)})
}

// table assigns what stands in one table of the file.
func (p *parse) table(section string, tree map[string]any) {
	for name, value := range tree {
		full := name
		if section != "" {
			full = section + "." + name
		}
		key, known := p.keys[full]
		sub, isTable := value.(map[string]any)
		switch {
		case known:
			if err := key.assign(p.config, value); err != nil {
				p.problem(full, "%v; allowed: %s", err, key.Allowed)
			}
		case section == "" && isTable && slices.Contains(p.sections, name):
			p.table(name, sub)
		case section == "" && slices.Contains(p.sections, name):
			p.problem(full, "is a section: write [%s] on a line of its own and its keys below", name)
		default:
			p.problem(full, "there is no such key%s", p.suggest(section, full, isTable))
		}
	}
}

// suggest names the nearest right key, or the section that has a key of this
// name.
func (p *parse) suggest(section, full string, isTable bool) string {
	short := full[strings.LastIndexByte(full, '.')+1:]
	if section == "" && isTable {
		if s := nearest(short, p.sections); s != "" {
			return fmt.Sprintf(" (no section [%s]). Did you mean [%s]?", full, s)
		}
		return ""
	}
	var all []string
	for name := range p.keys {
		all = append(all, name)
		if name != full && name[strings.LastIndexByte(name, '.')+1:] == short {
			return fmt.Sprintf(". Did you mean %s?", name)
		}
	}
	slices.Sort(all)
	if s := nearest(full, all); s != "" {
		return fmt.Sprintf(". Did you mean %s?", s)
	}
	return ". `posthouse config default` prints all keys"
}

// linesOf finds the line of every key and table.
func linesOf(data []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	section := ""
	for p.NextExpression() {
		e := p.Expression()
		it := e.Key()
		var parts []string
		line := 0
		for it.Next() {
			n := it.Node()
			parts = append(parts, string(n.Data))
			line = p.Shape(n.Raw).Start.Line
		}
		name := strings.Join(parts, ".")
		if e.Kind != unstable.KeyValue {
			section = name
		} else if section != "" {
			name = section + "." + name
		}
		for prefix := name; prefix != ""; { // [a] b.c = 1 also places a.b
			if lines[prefix] == 0 {
				lines[prefix] = line
			}
			prefix = prefix[:max(0, strings.LastIndexByte(prefix, '.'))]
		}
	}
	return lines
}

// nearest returns the name that s is most probably a slip of, or "".
func nearest(s string, names []string) string {
	best, bestDist := "", len(s)/3+1
	for _, n := range names {
		if d := distance(s, n); d < bestDist || d == bestDist && best == "" {
			best, bestDist = n, d
		}
	}
	return best
}

// distance is the number of single-letter edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
