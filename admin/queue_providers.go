package admin

import (
	"context"
	"time"
)

// Providers is the output of queue.providers.
type Providers struct {
	V         int        `json:"v"`
	Providers []Provider `json:"providers"`
}

// A Provider is a group of servers, how it is treated and, if it has mail waiting, how it
// does. Times are in seconds.
type Provider struct {
	Name          string     `json:"name"`
	Source        string     `json:"source"` // built in, configured, as all
	Connections   int        `json:"connections"`
	PerConnection int        `json:"perConnection"`
	PerMinute     int        `json:"perMinute,omitempty"`
	Rest          float64    `json:"rest"`
	MostRest      float64    `json:"mostRest"`
	Present       bool       `json:"present"`
	Waiting       int        `json:"waiting"`
	Working       int        `json:"working"`
	Window        int        `json:"window"` // connections that it is trusted with now
	Pace          float64    `json:"pace,omitempty"`
	RestUntil     *time.Time `json:"restUntil,omitempty"`
}

func queueProviders(_ context.Context, s *System, _ struct{}) (Providers, error) {
	out := Providers{V: 1, Providers: []Provider{}}
	for _, p := range s.Queue.Sites() {
		source := "as all"
		switch {
		case p.Configured:
			source = "configured"
		case p.Known:
			source = "built in"
		}
		v := Provider{Name: p.Name, Source: source, Connections: p.Connections, PerConnection: p.PerConnection, PerMinute: p.PerMinute, Rest: p.Rest.Seconds(), MostRest: p.MostRest.Seconds(),
			Present: p.Present, Waiting: p.Waiting, Working: p.Working, Window: p.Window, Pace: p.Pace.Seconds()}
		if !p.RestUntil.IsZero() {
			t := p.RestUntil.UTC()
			v.RestUntil = &t
		}
		out.Providers = append(out.Providers, v)
	}
	return out, nil
}
