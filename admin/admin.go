// Package admin is the operations on a running system: one file each. The
// command line calls them over the local socket of a running server, or directly
// on a store that no server owns; the admin pages will call the same ones.
//
// An operation takes one value and returns one value, both plain data that reads
// well as JSON. It answers with a mail.Error whose Text says what to do. What an
// operation changed is durable when it returns.
//
// The socket trusts the system's file permissions and the peer's user id: root
// and the user of the server may do everything, nobody else anything.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"posthouse/directory"
	"posthouse/mail"
	"posthouse/publish"
	"posthouse/queue"
	"posthouse/report"
	"posthouse/store"
	"posthouse/store/engine"
	"posthouse/trace"
)

// A System is what the operations work on.
type System struct {
	Engine    engine.Engine
	Store     *store.Store
	Directory *directory.Directory
	Queue     *queue.Queue
	Trace     *trace.Log
	Logger    *slog.Logger
	Hostname  string // of this server, in DNS
	// DefaultQuota is that of new accounts, in bytes; 0: none.
	DefaultQuota int64
	// Publish knows what domains publish.
	Publish *publish.Service
	// Revoked is called after what an account could log in with stopped counting:
	// its open sessions must end. Nil: there are none.
	Revoked func(mail.AccountID)
	// Backup adds a backup of the store to a directory; nil: this engine has none.
	Backup func(ctx context.Context, dir string) (Backup, error)
	// Status tells about the running server; nil: it is stopped.
	Status func() ServerStatus
	// Reports sends reports to others; nil: the server is stopped or sends none.
	Reports *report.Sender
	// Reload reads the configuration again, or with dry only says what that would change;
	// nil: the server is stopped.
	Reload func(ctx context.Context, dry bool) (Reloaded, error)
}

// An Operation is one thing that can be done, by its name ("account.add").
type Operation struct {
	Name    string
	Changes bool // it changes something: one line in the log for each
	run     func(ctx context.Context, s *System, in json.RawMessage) (any, error)
}

// Operations returns all operations in the order of the manual.
func Operations() []Operation {
	return []Operation{
		reads("account.list", accountList), reads("account.show", accountShow),
		changes("account.add", accountAdd), changes("account.set", accountSet), changes("account.remove", accountRemove),
		changes("account.undelete", accountUndelete),
		reads("account.keys", accountKeys), changes("account.add-key", accountAddKey), changes("account.remove-key", accountRemoveKey),
		reads("ban.list", banList), changes("ban.remove", banRemove),
		reads("domain.list", domainList), changes("domain.add", domainAdd), changes("domain.set", domainSet), changes("domain.remove", domainRemove), changes("domain.records", domainRecords),
		reads("domain.keys", domainKeys), reads("domain.check", domainCheck), changes("domain.advance-keys", domainAdvanceKeys),
		reads("alias.list", aliasList), changes("alias.add", aliasAdd), changes("alias.set", aliasSet), changes("alias.remove", aliasRemove),
		changes("config.reload", configReload),
		reads("queue.list", queueList), reads("queue.show", queueShow),
		changes("queue.retry", queueRetry), changes("queue.hold", queueHold), changes("queue.release", queueRelease), changes("queue.bounce", queueBounce),
		changes("queue.drop", queueDrop), changes("queue.reroute", queueReroute), changes("queue.expire", queueExpire),
		reads("queue.providers", queueProviders), reads("queue.suppressed", queueSuppressed), changes("queue.suppress", queueSuppress), changes("queue.unsuppress", queueUnsuppress),
		reads("mask.list", maskList), changes("mask.add", maskAdd), changes("mask.remove", maskRemove),
		reads("sender.list", senderList), changes("sender.add", senderAdd), changes("sender.remove", senderRemove),
		reads("trace.find", traceFind), reads("report.list", reportList), reads("report.show", reportShow), reads("report.pending", reportPending), changes("report.send", reportSend),
		changes("backup.create", backupCreate),
		reads("check", check), reads("status", status),
	}
}

func reads[In, Out any](name string, f func(context.Context, *System, In) (Out, error)) Operation {
	return Operation{Name: name, run: func(ctx context.Context, s *System, raw json.RawMessage) (any, error) {
		var in In
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &in); err != nil {
				return nil, refuse(mail.Invalid, name, "the request does not parse: %v", err)
			}
		}
		return f(ctx, s, in)
	}}
}

func changes[In, Out any](name string, f func(context.Context, *System, In) (Out, error)) Operation {
	op := reads(name, f)
	op.Changes = true
	return op
}

// None is the input or output of an operation that has none.
type None struct{}

// Run runs the operation name. in is its input as JSON; the result can be
// marshalled to JSON.
func (s *System) Run(ctx context.Context, name string, in json.RawMessage) (any, error) {
	for _, op := range Operations() {
		if op.Name != name {
			continue
		}
		started := time.Now()
		out, err := op.run(ctx, s, in)
		if op.Changes && s.Logger != nil {
			attrs := []any{"op", name, "on", subject(in), "ms", time.Since(started).Milliseconds()}
			if err != nil {
				attrs = append(attrs, "err", err)
			}
			s.Logger.Info("admin", attrs...)
		}
		return out, err
	}
	return nil, refuse(mail.NotFound, "admin", "there is no operation %q: server and command line may be of different versions", name)
}

// subject is what an operation was for, as far as its input names it: never more
// of the input, which may hold a password.
func subject(in json.RawMessage) []string {
	var named struct {
		Name, Address string
		IDs           []string
	}
	_ = json.Unmarshal(in, &named) // what does not parse was refused
	names := named.IDs
	for _, n := range []string{named.Name, named.Address} {
		if n != "" {
			names = append(names, n)
		}
	}
	return names[:min(len(names), 20)]
}

// Local calls operations in this process; [Client] calls those of a server.
func (s *System) Local() Caller { return local{s} }

// A Caller calls operations by name.
type Caller interface {
	Call(ctx context.Context, name string, in, out any) error
}

type local struct{ s *System }

func (l local) Call(ctx context.Context, name string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	got, err := l.s.Run(ctx, name, raw)
	if err != nil {
		return err
	}
	if raw, err = json.Marshal(got); err != nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

func refuse(k mail.Kind, op, format string, args ...any) error {
	return &mail.Error{Kind: k, Op: op, Text: fmt.Sprintf(format, args...)}
}

// ServerStatus is what a running server says about itself.
type ServerStatus struct {
	Version   string            `json:"version"`
	Hostname  string            `json:"hostname"`
	PID       int               `json:"pid"`
	Started   time.Time         `json:"started"`
	Listeners []Listener        `json:"listeners"`
	Figures   map[string]uint64 `json:"figures"` // counters and gauges by name
	Problems  []string          `json:"problems"`
}

// A Listener is an address on which a face is served.
type Listener struct {
	Face    string `json:"face"`
	Network string `json:"network"` // tcp, unix
	Address string `json:"address"`
}

// IsLoopback reports whether only this machine can reach the listener.
func (l Listener) IsLoopback() bool {
	if l.Network == "unix" {
		return true
	}
	ap, err := netip.ParseAddrPort(l.Address)
	return err == nil && ap.Addr().IsLoopback()
}
