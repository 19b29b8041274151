// Package metrics writes figures in the text format of Prometheus, version
// 0.0.4. The figures are read from the services' own counters at the moment of
// the scrape: there is no registry, no state and nothing to keep in step, and a
// scrape costs one buffer. (The official client library would bring a registry
// and protocol buffers for the same lines, and some MB of memory.)
package metrics

import (
	"slices"
	"strconv"
	"strings"
)

// A Kind says how a figure behaves.
type Kind uint8

// The kinds of figure.
const (
	Counter Kind = iota // only grows until a restart
	Gauge               // goes up and down
)

func (k Kind) String() string {
	if k == Gauge {
		return "gauge"
	}
	return "counter"
}

// A Figure is one value at one moment.
type Figure struct {
	Name   string // "posthouse_imap_connections_total"
	Help   string // one line
	Kind   Kind
	Value  float64
	Labels []Label
}

// A Label tells figures of one name apart.
type Label struct{ Name, Value string }

// Append appends the figures to dst, those of one name together.
func Append(dst []byte, figures []Figure) []byte {
	sorted := slices.Clone(figures)
	slices.SortStableFunc(sorted, func(a, b Figure) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range sorted {
		if i == 0 || sorted[i-1].Name != f.Name {
			dst = append(dst, "# HELP "+f.Name+" "+escape(f.Help, false)+"\n# TYPE "+f.Name+" "+f.Kind.String()+"\n"...)
		}
		dst = append(dst, f.Name...)
		dst = appendLabels(dst, f.Labels)
		dst = append(dst, ' ')
		dst = strconv.AppendFloat(dst, f.Value, 'g', -1, 64)
		dst = append(dst, '\n')
	}
	return dst
}

func appendLabels(dst []byte, labels []Label) []byte {
	if len(labels) == 0 {
		return dst
	}
	sep := byte('{')
	for _, l := range labels {
		dst = append(dst, sep)
		dst = append(dst, l.Name+`="`+escape(l.Value, true)+`"`...)
		sep = ','
	}
	return append(dst, '}')
}

func escape(s string, quotes bool) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	s = strings.ReplaceAll(s, "\n", `\n`)
	if quotes {
		s = strings.ReplaceAll(s, `"`, `\"`)
	}
	return s
}
