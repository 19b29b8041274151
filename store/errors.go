package store

import (
	"context"
	"errors"

	"posthouse/mail"
	"posthouse/store/engine"
)

func fail(k mail.Kind, op, text string) error {
	return &mail.Error{Kind: k, Op: "store." + op, Text: text}
}

// wrap makes an Error of what an engine returned.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *mail.Error
	if errors.As(err, &e) {
		return err
	}
	e = &mail.Error{Kind: mail.Internal, Op: "store." + op, Err: err}
	switch {
	case errors.Is(err, engine.ErrFull):
		e.Kind, e.Text = mail.Unavailable, "no space left on the server, try again later"
	case errors.Is(err, engine.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Text = mail.Unavailable, "temporarily unavailable, try again later"
	case errors.Is(err, engine.ErrConflict):
		e.Kind, e.Text = mail.Conflict, "changed meanwhile, try again"
	case errors.Is(err, engine.ErrNotFound):
		e.Kind = mail.NotFound
	case errors.Is(err, engine.ErrCorrupt):
		e.Kind = mail.Corrupt
	}
	return e
}
