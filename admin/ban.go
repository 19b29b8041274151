package admin

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"posthouse/directory"
	"posthouse/mail"
)

// A Ban is what too many failed logins led to.
type Ban struct {
	Who    string    `json:"who"`    // a network, or a login name
	What   string    `json:"what"`   // refused, or slow
	Failed int       `json:"failed"` // logins: of the day for a network, of the minute for a name
	Until  time.Time `json:"until"`
}

// Bans is the output of ban.list and ban.remove.
type Bans struct {
	V    int   `json:"v"`
	Bans []Ban `json:"bans"`
}

func showBan(b directory.Ban) Ban {
	if b.Network.IsValid() {
		who := b.Network.String()
		if b.Network.IsSingleIP() {
			who = b.Network.Addr().String()
		}
		return Ban{who, "refused", b.Day, b.Until.UTC()}
	}
	return Ban{b.Account.String(), "slow", b.Minute, b.Until.UTC()}
}

// banList tells what is banned. A store without a server has no bans: they are in its
// memory.
func banList(_ context.Context, s *System, _ None) (Bans, error) {
	out := Bans{V: 1, Bans: []Ban{}}
	for _, b := range s.Directory.Bans() {
		out.Bans = append(out.Bans, showBan(b))
	}
	return out, nil
}

// banRemove forgets the failures of a network, an address in it, or a login name.
func banRemove(ctx context.Context, s *System, in Named) (Bans, error) {
	const op = "ban.remove"
	out := Bans{V: 1, Bans: []Ban{}}
	if strings.Contains(in.Name, "@") {
		who, err := s.parseAddress(ctx, op, in.Name)
		if err != nil {
			return out, err
		}
		if s.Directory.ForgiveAccount(who) {
			out.Bans = append(out.Bans, showBan(directory.Ban{Account: who}))
		}
	} else {
		net, err := parseNetwork(in.Name)
		if err != nil {
			return out, refuse(mail.Invalid, op, "%q is not an address, a network or a login name, as 203.0.113.9, 203.0.113.0/24 or ada@example.org", in.Name)
		}
		for _, b := range s.Directory.Forgive(net) {
			out.Bans = append(out.Bans, showBan(b))
		}
	}
	if len(out.Bans) == 0 {
		return out, refuse(mail.NotFound, op, "%s is not banned: see posthouse ban list", in.Name)
	}
	return out, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
