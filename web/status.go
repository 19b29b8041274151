package web

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"posthouse/admin"
)

// A page is what status.html shows.
type page struct {
	admin.ServerStatus
	Health  string // "" : well
	Uptime  time.Duration
	People  []Person
	Devices []device
	Cards   []card
}

// A device is one line of what a mail program wants to know.
type device struct{ What, Host, Port, Security string }

// A card is one figure with its name.
type card struct {
	Name  string
	Value uint64
}

// cards are the figures that the page shows, in order, where there are any.
var cards = []struct{ name, figure string }{
	{"Messages received", "smtp.messages"},
	{"People connected", "imap.open"},
	{"Waiting in the queue", "queue.messages"},
	{"Logins refused", "logins.refused"},
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	st := s.opts.Status()
	p := page{ServerStatus: st, Uptime: s.opts.Now().Sub(st.Started), People: s.opts.People, Devices: devices(st)}
	if err := s.opts.Health(ctx); err != nil {
		p.Health = err.Error()
	}
	for _, c := range cards {
		if v, ok := st.Figures[c.figure]; ok {
			p.Cards = append(p.Cards, card{c.name, v})
		}
	}
	var b bytes.Buffer
	if err := statusPage.Execute(&b, p); err != nil {
		s.opts.Logger.Error("web: status page", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// programs are the faces that people's mail programs use.
var programs = []struct{ face, what, security string }{
	{"imaps", "Reading (IMAP)", "TLS"},
	{"imap", "Reading (IMAP)", "STARTTLS"},
	{"submissions", "Sending (SMTP)", "TLS"},
	{"submission", "Sending (SMTP)", "STARTTLS"},
}

func devices(st admin.ServerStatus) []device {
	var list []device
	for _, p := range programs {
		for _, l := range st.Listeners {
			host, port, err := net.SplitHostPort(l.Address)
			if l.Face != p.face || err != nil {
				continue
			}
			if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
				host = st.Hostname
			}
			list = append(list, device{p.what, host, port, p.security})
			break
		}
	}
	return list
}

// count writes a number with thin spaces between the thousands.
func count(n uint64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// ago spells how long something lasts.
func ago(d time.Duration) string {
	unit := func(n int, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch h := int(d.Hours()); {
	case d < time.Minute:
		return unit(max(0, int(d.Seconds())), "second")
	case h < 1:
		return unit(int(d.Minutes()), "minute")
	case h < 48:
		return unit(h, "hour")
	default:
		return unit(h/24, "day")
	}
}
