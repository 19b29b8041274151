package queue

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A Provider is how a group of servers wants to be treated. Zero values take what holds
// for all.
type Provider struct {
	Connections   int           // at a time; Limits.PerDestination
	PerConnection int           // messages on one; Limits.PerConnection
	PerMinute     int           // transactions; as many as it takes
	Rest          time.Duration // after it first says that it is too much (421, 4.7.0); 2 s. It doubles
	MostRest      time.Duration // up to which; Pause
}

// known are providers whose wishes are known: what they publish for senders, and below it
// where a new address has no name yet. They adapt downwards like all others.
var known = map[string]Provider{
	"google.com":            {Connections: 10, PerConnection: 50, Rest: 30 * time.Second, MostRest: 15 * time.Minute},
	"outlook.com":           {Connections: 5, PerConnection: 50, Rest: time.Minute, MostRest: 30 * time.Minute},
	"yahoodns.net":          {Connections: 5, PerConnection: 20, Rest: 2 * time.Minute, MostRest: 30 * time.Minute},
	"icloud.com":            {Connections: 5, PerConnection: 50, Rest: time.Minute, MostRest: 15 * time.Minute},
	"gmx.net":               {Connections: 5, PerConnection: 50, Rest: time.Minute, MostRest: 15 * time.Minute},
	"web.de":                {Connections: 5, PerConnection: 50, Rest: time.Minute, MostRest: 15 * time.Minute},
	"t-online.de":           {Connections: 5, PerConnection: 50, Rest: time.Minute, MostRest: 15 * time.Minute},
	"mail.ru":               {Connections: 5, PerConnection: 20, Rest: time.Minute, MostRest: 15 * time.Minute},
	"qq.com":                {Connections: 5, PerConnection: 20, Rest: 2 * time.Minute, MostRest: 30 * time.Minute},
	"mimecast.com":          {Connections: 10, PerConnection: 50, Rest: 30 * time.Second, MostRest: 15 * time.Minute},
	"pphosted.com":          {Connections: 10, PerConnection: 50, Rest: 30 * time.Second, MostRest: 15 * time.Minute},
	"barracudanetworks.com": {Connections: 10, PerConnection: 50, Rest: 30 * time.Second, MostRest: 15 * time.Minute},
}

// provider is how the servers of a site are treated now.
func (s *settings) provider(site string) Provider {
	p, configured := s.Providers[site]
	if !configured {
		p = known[site]
	}
	top := s.Limits.PerDestination
	if p.Connections > 0 {
		top = min(top, p.Connections)
		if configured {
			top = p.Connections // the operator knows better
		}
	}
	p.Connections = top
	if p.PerConnection <= 0 || p.PerConnection > s.Limits.PerConnection && !configured {
		p.PerConnection = s.Limits.PerConnection
	}
	p.Rest = cmp.Or(p.Rest, firstBackoff)
	p.MostRest = max(cmp.Or(p.MostRest, s.Pause), p.Rest)
	return p
}

// gap is the least time between two transactions.
func (p *Provider) gap() time.Duration {
	if p.PerMinute <= 0 {
		return 0
	}
	return time.Minute / time.Duration(p.PerMinute)
}

// A Site is a group of servers, as it is treated and how it does.
type Site struct {
	Name       string // the organizational domain of its servers
	Provider          // what holds for it
	Configured bool   // by Options.Providers
	Known      bool   // it is one of those that come with the program
	Present    bool   // there is mail for it; what follows is of now
	Waiting    int    // ready messages
	Working    int    // connections
	Window     int    // connections that it is trusted with: grows with success
	Pace       time.Duration
	RestUntil  time.Time // zero: it does not rest
}

// Sites are the groups of servers that are known, are configured or have mail waiting,
// by name.
func (q *Queue) Sites() []Site {
	set := q.set()
	all := map[string]*Site{}
	add := func(name string) *Site {
		s := all[name]
		if s == nil {
			s = &Site{Name: name, Provider: set.provider(name)}
			_, s.Configured = set.Providers[name]
			_, s.Known = known[name]
			all[name] = s
		}
		return s
	}
	for name := range known {
		add(name)
	}
	for name := range set.Providers {
		add(name)
	}
	now := q.opts.Now()
	q.mu.Lock()
	for name, from := range q.sites {
		if from.own {
			continue // nobody knows yet whose servers those are
		}
		s := add(name)
		s.Present, s.Waiting, s.Working, s.Window, s.Pace = true, from.ready.n, from.workers, int(from.window), from.pace
		if from.notBefore.After(now) {
			s.RestUntil = from.notBefore
		}
	}
	q.mu.Unlock()
	list := make([]Site, 0, len(all))
	for _, s := range all {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Site) int { return strings.Compare(a.Name, b.Name) })
	return list
}
