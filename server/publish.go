package server

import (
	"context"
	"time"

	"posthouse/config"
	"posthouse/directory"
	"posthouse/dns"
	"posthouse/publish"
	"posthouse/queue"
)

// freshResolver is a resolver that keeps nothing, for who has just changed DNS and wants
// to see it.
func freshResolver(c config.DNS) (*dns.Client, error) {
	o, err := resolverOptions(c)
	o.MaxTTL, o.MaxNegative, o.FailTTL = time.Nanosecond, time.Nanosecond, time.Nanosecond
	return dns.New(o), err
}

// keepKeys is how much longer than the queue keeps mail the records of old keys stay:
// receivers may check later.
const keepKeys = 3 * 24 * time.Hour

func publishOptions(c config.Config, dir *directory.Directory, q *queue.Queue, r dns.Resolver) publish.Options {
	return publish.Options{
		Directory: dir, Hostname: hostname(c), Resolver: r, Oldest: q.Oldest,
		Rules: directory.KeyRules{Rotate: max(0, c.DKIM.Rotate.Duration()), Settle: c.DKIM.Settle.Duration(), Keep: max(0, c.Queue.Expire.Duration()) + keepKeys},
	}
}

// startPublishing opens what looks after the domains' DNS, and lets it look after their
// keys. The demo has no DNS.
func (s *Server) startPublishing(ctx context.Context) error {
	var r dns.Resolver = nowhere{}
	if !s.opts.demo {
		client, err := freshResolver(s.cfg.DNS)
		if err != nil {
			return err
		}
		s.onStop("resolver of changes", func(context.Context) error { return client.Close() })
		r = client
	}
	o := publishOptions(s.cfg, s.dir, s.queue, r)
	o.Tell, o.Logger = s.deliv.TellAdministrator, s.log
	s.pub = publish.New(o)
	if s.opts.demo {
		return nil
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	s.onStop("publishing", func(context.Context) error {
		stop()
		<-done
		return nil
	})
	s.tasks.Go(func() {
		defer close(done)
		s.pub.Run(running)
	})
	return nil
}
