package jmap

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// unsubscribeMethod is Email/unsubscribe of the vendor capability: the server makes
// the one request of RFC 8058 §3.1, without cookies and without following redirects,
// and marks the message with $unsubscribed.
func unsubscribeMethod() *method {
	return &method{name: "Email/unsubscribe", capability: capPosthouse, args: []wire.Field{{Name: "emailId", Type: "Id"}}, sends: true, do: unsubscribe}
}

// errNoOneClick: the message offers no one-click way.
var errNoOneClick = errors.New("the message offers no way to unsubscribe with one request")

func unsubscribe(c *call) (wire.Object, error) {
	id, ok := parseEmailID(c.str("emailId"))
	var target string
	err := c.view(func(v *store.View) error {
		r := rows{v: v, snaps: map[store.MailboxID]*store.Snapshot{}}
		e, err := c.loadEmail(&r, id)
		if err != nil {
			return err
		}
		if e == nil || !ok {
			return invalidArguments("there is no such email")
		}
		h, err := e.headerOf(&getter{c, v}, 0)
		if err != nil {
			return err
		}
		urls, _ := readURLs(h.RawValue("List-Unsubscribe")).([]string)
		if !strings.EqualFold(strings.TrimSpace(h.Value("List-Unsubscribe-Post")), "List-Unsubscribe=One-Click") {
			urls = nil
		}
		for _, u := range urls {
			if p, err := url.Parse(u); err == nil && p.Host != "" && p.User == nil && (p.Scheme == "https" || p.Scheme == "http" && c.opts.Outbound != nil) {
				target = u
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if target == "" {
		return c.head().With("status", "notPossible").With("description", errNoOneClick.Error()), nil
	}
	if err := c.oneClick(c.ctx, target); err != nil {
		return c.head().With("status", "failed").With("description", "the sender's server did not take it"), nil
	}
	err = c.acct.Update(c.ctx, func(tx *store.Tx) error {
		_, err := tx.SetEmailFlags(id, store.FlagChange{Op: store.FlagsAdd, Flags: []mail.Flag{"$unsubscribed"}})
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	})
	return c.head().With("status", "unsubscribed"), err
}

func (c *call) oneClick(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Posthouse")
	resp, err := c.pusher.client.Do(r) // the same care as for push services
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	return nil
}
