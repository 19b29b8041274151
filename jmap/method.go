package jmap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"posthouse/jmap/wire"
	"posthouse/store"
)

// The capabilities, RFC 8620 §2 and those that extend it.
const (
	capCore       = "urn:ietf:params:jmap:core"
	capMail       = "urn:ietf:params:jmap:mail"
	capSubmission = "urn:ietf:params:jmap:submission"
	capVacation   = "urn:ietf:params:jmap:vacationresponse"
	capQuota      = "urn:ietf:params:jmap:quota"
	capBlob       = "urn:ietf:params:jmap:blob"
	capMDN        = "urn:ietf:params:jmap:mdn"
	capWebSocket  = "urn:ietf:params:jmap:websocket"
	capVAPID      = "urn:ietf:params:jmap:webpush-vapid"
	capPosthouse  = "https://posthouse.email/jmap"
)

// A method is one row of the table of methods.
type method struct {
	name       string
	capability string
	args       []wire.Field // beside accountId; a name that ends in "?" may be missing or null
	noAccount  bool         // it has no accountId
	// guests is there if the method works on accounts of others: what it takes of the
	// owner's objects. Methods of mail do anyway.
	guests  []store.ObjectKind
	sends   bool // it works on accounts of others for those who may send as the owner
	anyArgs bool // takes whatever comes
	do      func(c *call) (wire.Object, error)

	types map[string]*wire.Type // of args
}

// A call is one method call under way.
type call struct {
	*Server
	ctx     context.Context
	who     *principal
	req     *request
	method  *method
	args    map[string]any
	acct    *account
	typ     *objectType       // of the standard methods
	id      string            // method call id
	implied []response        // of methods that this one calls by itself
	cleanup []func()          // when it ends
	gone    map[string]string // emails of the submissions that it destroyed
	exact   bool              // in a transaction: the index may be of another moment
}

// An account is one that the call is about.
type account struct {
	*store.Account
	id     string
	index  *index
	shared bool            // somebody else's
	reads  bool            // and one may only read it
	as     store.Principal // who uses it, if shared
}

// view runs f on the account's present state, with the index at least as new.
func (c *call) view(f func(v *store.View) error) error {
	return c.acct.View(c.ctx, func(v *store.View) error {
		if err := c.acct.index.sync(v); err != nil {
			return err
		}
		return f(v)
	})
}

// bind checks the arguments against the row, and finds the account.
func (c *call) bind() error {
	m := c.method
	if m.anyArgs {
		return nil
	}
	for name, v := range c.args {
		t := m.types[name]
		switch {
		case t == nil && name == "accountId" && !m.noAccount:
		case t == nil:
			return invalidArguments(fmt.Sprintf("there is no argument %q", name))
		case v == nil && isOptional(m.args, name):
			delete(c.args, name)
		case !t.Valid(v):
			return invalidArguments(fmt.Sprintf("%q is not of its type", name))
		}
	}
	for _, a := range m.args {
		if _, there := c.args[a.Name]; !there && a.Name[len(a.Name)-1] != '?' {
			return invalidArguments(fmt.Sprintf("%q is missing", a.Name))
		}
	}
	if m.noAccount {
		return nil
	}
	id, ok := c.args["accountId"].(string)
	if !ok {
		return invalidArguments("accountId is missing")
	}
	var err error
	if c.acct, err = c.account(c.ctx, c.who, id); err != nil {
		return err
	}
	if c.acct.shared {
		return c.bindShared()
	}
	return nil
}

// bindShared says what there is of an account of somebody else beside mail.
func (c *call) bindShared() error {
	if c.acct.reads && c.method.writes() && c.method.capability != capSubmission { // who may send is asked below
		return refused("accountReadOnly", "")
	}
	if c.method.guests != nil {
		c.acct.allow(c.method.guests...)
		return nil
	}
	switch capability := c.method.capability; {
	case capability == capMail:
		c.acct.allow(store.ObjectSnooze) // a property of Email
		return nil
	case capability == capBlob, capability == capCore: // bytes: what they belong to asks for rights
		return nil
	case capability == capSubmission, capability == capMDN, c.method.sends:
		ok, err := c.sendsFor(c.ctx, c.who, c.acct.ID())
		if ok {
			c.acct.allow(sentObjects...)
		}
		if ok || err != nil {
			return err
		}
	}
	return refused("accountNotSupportedByMethod", "")
}

// writes reports whether a method changes what an account holds.
func (m *method) writes() bool {
	_, verb, _ := strings.Cut(m.name, "/")
	return slices.Contains([]string{"set", "import", "copy", "bulk", "bulkUndo"}, verb) && m.capability != capBlob
}

func isOptional(args []wire.Field, name string) bool {
	return slices.ContainsFunc(args, func(f wire.Field) bool { return f.Name == name+"?" })
}

// account returns an account that who may use, accountNotFound for any other.
func (s *Server) account(ctx context.Context, who *principal, id string) (*account, error) {
	if id != accountID(who.account.ID) {
		return s.sharedAccount(ctx, who, id)
	}
	a, err := s.opts.Store.Account(ctx, who.account.ID)
	if err != nil {
		return nil, err
	}
	return &account{Account: a, id: id, index: s.indexes.of(a.ID(), 0, s.limits.IndexBytes)}, nil
}

// The arguments, which bind has checked. Of what is missing they return zero.

func (c *call) str(name string) string { s, _ := c.args[name].(string); return s }
func (c *call) flag(name string) bool  { b, _ := c.args[name].(bool); return b }

func (c *call) num(name string, def int64) int64 {
	if n, ok := c.args[name].(int64); ok {
		return n
	}
	return def
}

func (c *call) object(name string) map[string]any { m, _ := c.args[name].(map[string]any); return m }

// strs returns a list of strings, nil if there is none.
func (c *call) strs(name string) []string { return stringsOf(c.args[name]) }

func stringsOf(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i], _ = e.(string)
	}
	return out
}

// compile prepares a method's arguments.
func (m *method) compile(structs wire.Structs) {
	m.types = make(map[string]*wire.Type, len(m.args))
	for _, a := range m.args {
		name := a.Name
		if name[len(name)-1] == '?' {
			name = name[:len(name)-1]
		}
		m.types[name] = wire.CompileType(a.Type, structs)
	}
}
