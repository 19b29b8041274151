package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Provider is one value of queue.providers. What is zero was not said.
type Provider struct {
	Connections, PerConnection, PerMinute int
	Rest, MostRest                        time.Duration
}

// ParseProvider reads "connections=5 per_connection=20 per_minute=300 rest=1m most_rest=30m".
func ParseProvider(s string) (Provider, error) {
	var p Provider
	numbers := map[string]*int{"connections": &p.Connections, "per_connection": &p.PerConnection, "per_minute": &p.PerMinute}
	times := map[string]*time.Duration{"rest": &p.Rest, "most_rest": &p.MostRest}
	for word := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case numbers[name] != nil:
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 1_000_000 {
				return p, fmt.Errorf("%s=%s: not a number from 1 on", name, value)
			}
			*numbers[name] = n
		case times[name] != nil:
			d, err := time.ParseDuration(value)
			if err != nil || d < time.Second || d > 24*time.Hour {
				return p, fmt.Errorf("%s=%s: not a time from 1s to 24h", name, value)
			}
			*times[name] = d
		default:
			return p, fmt.Errorf("%q is none of connections, per_connection, per_minute, rest and most_rest", name)
		}
	}
	if p.MostRest > 0 && p.MostRest < p.Rest {
		return p, fmt.Errorf("most_rest is less than rest")
	}
	return p, nil
}
