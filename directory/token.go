package directory

import (
	"context"

	"posthouse/mail"
)

// A TokenVerifier checks access tokens. [posthouse/sasl/oauth.Verifier] is one.
type TokenVerifier interface {
	// Verify returns the address of whom a token speaks for. Denied if it is not
	// valid, Unavailable if that cannot be found out now.
	Verify(ctx context.Context, token string) (address string, err error)
	// Issuer is the URL of who gives tokens out.
	Issuer() string
}

// Token logs in by an access token. A token cannot be guessed, so no ban stands in
// its way.
func (a *attempt) Token(ctx context.Context, token, as string) error {
	refused := fail(mail.Denied, "directory.Token", nil, "the token is not valid for an account here")
	if a.d.opts.Tokens == nil {
		return refused
	}
	address, err := a.d.opts.Tokens.Verify(ctx, token)
	if err != nil {
		return err
	}
	c, err := a.claimed(address, as)
	if err != nil {
		return err
	}
	if !c.good {
		return refused
	}
	a.succeeded(c)
	return nil
}

func (a *attempt) Issuer() string {
	if a.d.opts.Tokens == nil {
		return ""
	}
	return a.d.opts.Tokens.Issuer()
}
