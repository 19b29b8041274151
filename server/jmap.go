package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/net/idna"

	"posthouse/dns"
	"posthouse/jmap"
	"posthouse/jmap/webpush"
	"posthouse/mail"
	"posthouse/queue"
	"posthouse/trace"
)

// vapidFile is, in the data directory, the key that says to push services who we are.
// Browsers subscribe for it, so it must stay.
const vapidFile = "vapid.pem"

// vapidKey reads the key, or makes it.
func (s *Server) vapidKey() (*ecdsa.PrivateKey, error) {
	name := filepath.Join(s.cfg.Data, vapidFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return newVAPIDKey(name)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", name)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds another kind of key", name)
	}
	return key, nil
}

func newVAPIDKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := webpush.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
	temp := name + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return nil, err
	}
	return key, os.Rename(temp, name)
}

// openJMAP makes the JMAP server. The demo asks no DNS.
func (s *Server) openJMAP() error {
	key, err := s.vapidKey()
	if err != nil {
		return err
	}
	o := jmap.Options{
		Store: s.store, Directory: s.dir, Delivery: s.deliv, Hostname: s.hostname, Limits: jmapLimits(s.cfg.Limits), Message: messageLimits(s.cfg.Limits),
		Logger: s.log, AllowPlaintextLogin: s.cfg.AllowPlaintextLogin, VAPID: key, Trace: s.trace,
	}
	o.Queued = func(ctx context.Context, f func(account mail.AccountID, trace string, list []jmap.Sent) bool) error {
		return s.queue.List(ctx, 0, func(in queue.Info) bool { return in.Account == 0 || f(in.Account, in.TraceID, sentOf(in)) })
	}
	if !s.opts.demo {
		o.Domains = mailDomains{s.resolver}
	}
	s.jmap = jmap.New(o)
	s.tell.Store(s.jmap)
	return nil
}

// told passes on what the queue says of a message: to the trace, and to who wrote it.
func (s *Server) told(in queue.Info) {
	e := trace.Event{Kind: trace.Attempt, ID: in.TraceID, Queue: in.ID.String(), From: in.Sender.String()}
	var last time.Time
	for _, r := range in.Recipients {
		if r.At.After(last) {
			last = r.At
		}
	}
	for _, r := range in.Recipients {
		if r.LastReply.Code == 0 || !r.At.Equal(last) { // it was told before
			continue
		}
		became := trace.Deferred
		switch r.State {
		case "delivered":
			became = trace.Relayed
		case "failed":
			became = trace.Turned
		case "expired":
			became = trace.Expired
		}
		e.Remote, e.Reply = r.Host, r.LastReply
		e.To = append(e.To, trace.Fate{Address: r.Address.String(), Became: became, Detail: r.LastReply.String()})
	}
	if len(e.To) > 0 {
		s.trace.Record(&e)
	}
	if j := s.tell.Load(); j != nil && in.Account != 0 {
		j.Told(in.Account, in.TraceID, sentOf(in))
	}
}

func sentOf(in queue.Info) []jmap.Sent {
	list := make([]jmap.Sent, len(in.Recipients))
	for i, r := range in.Recipients {
		list[i] = jmap.Sent{Address: r.Address, State: r.State, Reply: r.LastReply, Here: r.Host == ""}
	}
	return list
}

// jmapURL is where mail programs find JMAP: over https, at the first port that it
// is served on; "" if it is not.
func (s *Server) jmapURL() string {
	for _, b := range s.bound {
		if b.Face != "https" {
			continue
		}
		u := "https://" + s.hostname
		if a, ok := b.Listener.Addr().(*net.TCPAddr); ok && a.Port != 443 {
			u += fmt.Sprint(":", a.Port)
		}
		return u + "/.well-known/jmap"
	}
	return ""
}

// mailDomains asks DNS which domains take mail.
type mailDomains struct{ r dns.Resolver }

// TakesMail: a domain with MX or addresses, and without a null MX (RFC 7505).
func (m mailDomains) TakesMail(ctx context.Context, d mail.Domain) (bool, error) {
	name, err := idna.Lookup.ToASCII(string(d))
	if err != nil {
		return false, nil
	}
	mx, err := m.r.LookupMX(ctx, name)
	if err == nil {
		return mx.Records[0].Host != ".", nil
	}
	if !dns.IsAbsent(err) {
		return false, err
	}
	_, err = m.r.LookupAddr(ctx, name)
	if dns.IsAbsent(err) {
		return false, nil
	}
	return err == nil, err
}

var _ jmap.MailDomains = mailDomains{}
