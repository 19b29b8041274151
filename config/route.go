package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// A Route is a value of queue.routes.
type Route struct {
	Scheme       string // "", "smtp", "smtps" or "lmtp"
	Host         string
	Port         uint16
	Socket       string // instead of Host and Port, of lmtp
	Login        string
	PasswordFile string
}

// ParseRoute reads "host:port" or a URL as the documentation of queue.routes has it.
func ParseRoute(s string) (Route, error) {
	if !strings.Contains(s, "://") {
		return hostPortRoute("", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return Route{}, errors.New("it does not parse")
	}
	var r Route
	switch {
	case u.Scheme == "lmtp" && u.Host == "" && len(u.Path) > 1:
		return Route{Scheme: u.Scheme, Socket: u.Path}, nil
	case u.Scheme != "smtp" && u.Scheme != "smtps" && u.Scheme != "lmtp":
		return Route{}, fmt.Errorf("%s:// is not known", u.Scheme)
	case u.Path != "" && u.Path != "/":
		return Route{}, errors.New("there is a path")
	}
	if r, err = hostPortRoute(u.Scheme, u.Host); err != nil {
		return Route{}, err
	}
	for key := range u.Query() {
		if key != "password_file" {
			return Route{}, fmt.Errorf("%s= is not known", key)
		}
	}
	r.PasswordFile = u.Query().Get("password_file")
	if r.Login = u.User.Username(); (r.Login == "") != (r.PasswordFile == "") {
		return Route{}, errors.New("login and password_file belong together")
	}
	if _, given := u.User.Password(); given {
		return Route{}, errors.New("the password belongs into a file: password_file=")
	}
	if r.Login != "" && r.Scheme == "lmtp" {
		return Route{}, errors.New("LMTP has no login here")
	}
	return r, nil
}

func hostPortRoute(scheme, s string) (Route, error) {
	if err := checkHostPort(s, false); err != nil {
		return Route{}, err
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Route{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return Route{Scheme: scheme, Host: host, Port: uint16(n)}, err
}
