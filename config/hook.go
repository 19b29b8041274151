package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// A Hook is one entry of smtp.hooks.
type Hook struct {
	Program, Address    string // milter, rspamd or clamav; host:port, path or URL
	Time                time.Duration
	Open                bool // fail=accept
	Submitted, Received bool
}

// ParseHook reads "milter 127.0.0.1:8891 time=5s fail=accept for=submitted".
func ParseHook(s string) (Hook, error) {
	h := Hook{Time: 10 * time.Second, Submitted: true, Received: true}
	words := strings.Fields(s)
	if len(words) < 2 {
		return h, errors.New("is not a program and its address, as \"milter 127.0.0.1:8891\"")
	}
	h.Program, h.Address = words[0], words[1]
	switch h.Program {
	case "milter", "clamav":
		if !strings.HasPrefix(h.Address, "/") && !strings.Contains(h.Address, ":") {
			return h, fmt.Errorf("%q is neither host:port nor the path of a socket", h.Address)
		}
	case "rspamd":
		if u, err := url.Parse(h.Address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return h, fmt.Errorf("%q is not a URL, as http://127.0.0.1:11333", h.Address)
		}
	default:
		return h, fmt.Errorf("%q is not allowed; allowed: milter, rspamd, clamav", h.Program)
	}
	for _, w := range words[2:] {
		switch key, value, _ := strings.Cut(w, "="); {
		case key == "time":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 || d > 5*time.Minute {
				return h, fmt.Errorf("time=%s is not a time of up to 5m", value)
			}
			h.Time = d
		case w == "fail=accept", w == "fail=defer":
			h.Open = value == "accept"
		case w == "for=received":
			h.Submitted = false
		case w == "for=submitted":
			h.Received = false
		default:
			return h, fmt.Errorf("%q is not allowed; allowed: time=, fail=defer, fail=accept, for=received, for=submitted", w)
		}
	}
	return h, nil
}
