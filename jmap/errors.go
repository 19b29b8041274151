package jmap

import (
	"errors"
	"net/http"

	"posthouse/jmap/wire"
	"posthouse/mail"
	"posthouse/store"
)

// A requestError refuses a whole request, RFC 8620 §3.6.1; it is written as a problem
// of RFC 7807.
type requestError struct {
	kind   string // behind urn:ietf:params:jmap:error:, or "" for about:blank
	status int
	detail string
	limit  string // which one, for kind "limit"
}

func (e *requestError) Error() string { return e.kind + ": " + e.detail }

const errorPrefix = "urn:ietf:params:jmap:error:"

func (e *requestError) object() wire.Object {
	o := wire.Object{{Name: "type", Value: "about:blank"}, {Name: "status", Value: e.status}, {Name: "detail", Value: e.detail}}
	if e.kind != "" {
		o[0].Value = errorPrefix + e.kind
	}
	if e.limit != "" {
		o = o.With("limit", e.limit)
	}
	return o
}

func (e *requestError) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.status)
	_, _ = w.Write(wire.Append(nil, e.object()))
}

func overLimit(limit, detail string) *requestError {
	return &requestError{"limit", http.StatusBadRequest, detail, limit}
}

// A methodError refuses one method call, RFC 8620 §3.6.2.
type methodError struct {
	kind  string
	text  string
	extra wire.Object
}

func (e *methodError) Error() string { return e.kind + ": " + e.text }

func (e *methodError) object() wire.Object {
	o := wire.Object{{Name: "type", Value: e.kind}}
	if e.text != "" {
		o = o.With("description", e.text)
	}
	return append(o, e.extra...)
}

func refused(kind, text string) error    { return &methodError{kind: kind, text: text} }
func invalidArguments(text string) error { return refused("invalidArguments", text) }

// partly is the error of a method that failed with err when it had changed something
// already, RFC 8620 §3.6.2.
func (c *call) partly(err error) error {
	e, internal := asMethodError(err)
	if internal {
		c.failed(c.ctx, "jmap: method failed half-way", "method", c.method.name, "account", uint64(c.who.account.ID), "err", err)
	}
	return refused("serverPartialFail", e.text)
}

// A setError refuses one record of a /set, RFC 8620 §5.3. Who returns it has changed
// nothing.
type setError struct {
	kind       string
	text       string
	properties []string
	extra      wire.Object
}

func (e *setError) Error() string { return e.kind + ": " + e.text }

func (e *setError) object() wire.Object {
	o := wire.Object{{Name: "type", Value: e.kind}}
	if e.text != "" {
		o = o.With("description", e.text)
	}
	if e.properties != nil {
		o = o.With("properties", e.properties)
	}
	return append(o, e.extra...)
}

func unfit(kind, text string) *setError { return &setError{kind: kind, text: text} }

func invalidProperties(text string, names ...string) *setError {
	return &setError{kind: "invalidProperties", text: text, properties: names}
}

// errors of a record by the kind of failure below, RFC 8620 §5.3.
var setKinds = map[mail.Kind]string{
	mail.NotFound: "notFound", mail.Denied: "forbidden", mail.OverQuota: "overQuota",
	mail.TooLarge: "tooLarge", mail.Invalid: "invalidProperties",
}

// asSetError makes a record's error of one from below; false if it is one of the
// whole method.
func asSetError(err error) (*setError, bool) {
	var se *setError
	if errors.As(err, &se) {
		return se, true
	}
	if errors.Is(err, store.ErrTooManyKeywords) { // RFC 8621 §4.6
		return unfit("tooManyKeywords", mail.TextOf(err)), true
	}
	var e *mail.Error
	if errors.As(err, &e) && setKinds[e.Kind] != "" {
		return unfit(setKinds[e.Kind], mail.TextOf(err)), true
	}
	return nil, false
}

// methodKinds is the one table from failures below to errors of a method.
var methodKinds = map[mail.Kind]string{
	mail.NotFound: "accountNotFound", mail.Denied: "forbidden", mail.Conflict: "serverUnavailable", mail.Unavailable: "serverUnavailable",
	mail.TooLarge: "requestTooLarge", mail.Invalid: "invalidArguments",
}

// asMethodError says what the client is told of err; internal reports one that an
// operator should hear of.
func asMethodError(err error) (e *methodError, internal bool) {
	if errors.As(err, &e) {
		return e, false
	}
	k := mail.KindOf(err)
	var me *mail.Error
	if kind := methodKinds[k]; kind != "" && errors.As(err, &me) {
		return &methodError{kind: kind, text: mail.TextOf(err)}, k == mail.Unavailable
	}
	return &methodError{kind: "serverFail", text: "something went wrong on the server"}, true
}
