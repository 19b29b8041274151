// Package oauth checks OAuth 2.0 access tokens for the mechanisms OAUTHBEARER and
// XOAUTH2: JWTs by the issuer's public keys (RFC 9068, RFC 7519), or any token by
// asking the issuer (RFC 7662).
//
// Guarantees:
//
//   - A token counts only if it comes from the configured issuer, was given out for
//     us (aud), is valid now, and names an address that its issuer has not called
//     unverified.
//   - Only the configured URLs are asked, over TLS, without following redirects; never
//     loopback or private addresses, whatever their names resolve to, unless that is
//     configured. Answers are bounded in size and time, and keys are not asked for
//     more than once in five seconds, whatever clients send.
//   - No error holds a token.
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"posthouse/mail"
)

// Options of New. Issuer, Audience and one of Keys and Introspection are required.
type Options struct {
	Issuer   string // URL, as in iss
	Audience string // one of aud
	// Keys is the URL of the issuer's JWKS. Tokens are JWTs then.
	Keys string
	// Introspection is the URL where each token is asked about, as ClientID.
	Introspection  string
	ClientID       string
	Secret         string
	Claim          string // that holds the address; "" is email
	AllowPrivate   bool   // loopback and private addresses, and no TLS
	Now            func() time.Time
	transportLimit time.Duration // between two requests for keys; 0: five seconds
}

// A Verifier checks tokens. Its methods may be called at once.
type Verifier struct {
	opts   Options
	client *http.Client
	jwt    *oidc.IDTokenVerifier // nil: by introspection
}

// algorithms are all signatures with public keys; none and HMAC are not among them.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// New returns a Verifier. It asks nobody yet.
func New(o Options) *Verifier {
	if o.Claim == "" {
		o.Claim = "email"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.transportLimit == 0 {
		o.transportLimit = 5 * time.Second
	}
	v := &Verifier{opts: o, client: newClient(o)}
	if o.Keys != "" {
		ctx := oidc.ClientContext(context.Background(), &http.Client{Timeout: timeout, CheckRedirect: noRedirect,
			Transport: &spaced{next: v.client.Transport, every: o.transportLimit, now: o.Now}})
		set := &keySet{oidc.NewRemoteKeySet(ctx, o.Keys)}
		v.jwt = oidc.NewVerifier(o.Issuer, set, &oidc.Config{ClientID: o.Audience, SupportedSigningAlgs: algorithms, Now: o.Now})
	}
	return v
}

// Issuer is the URL of who gives tokens out.
func (v *Verifier) Issuer() string { return v.opts.Issuer }

// Verify returns the address of whom a token speaks for. Denied if it is not valid,
// Unavailable if the issuer cannot be asked.
func (v *Verifier) Verify(ctx context.Context, token string) (string, error) {
	claims, err := v.claims(ctx, token)
	if err != nil {
		return "", err
	}
	if verified, ok := claims[v.opts.Claim+"_verified"]; ok && verified != true && verified != "true" {
		return "", refuse("the issuer has not verified the address", nil)
	}
	address, _ := claims[v.opts.Claim].(string)
	if address == "" {
		return "", refuse("the token names no address", nil)
	}
	return address, nil
}

func (v *Verifier) claims(ctx context.Context, token string) (map[string]any, error) {
	if v.jwt == nil {
		return v.introspect(ctx, token)
	}
	var lost error // the issuer could not be asked
	t, err := v.jwt.Verify(context.WithValue(ctx, lostKey{}, &lost), token)
	switch {
	case lost != nil:
		return nil, unavailable(lost)
	case err != nil:
		return nil, refuse("the token is not valid", nil) // err may quote it
	}
	var claims map[string]any
	if err := t.Claims(&claims); err != nil {
		return nil, refuse("the token does not parse", nil)
	}
	return claims, nil
}

// keySet notes when it was not the token that was wrong.
type keySet struct{ oidc.KeySet }

type lostKey struct{}

func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	b, err := k.KeySet.VerifySignature(ctx, jwt)
	var failed *url.Error
	if lost, ok := ctx.Value(lostKey{}).(*error); ok && errors.As(err, &failed) && !errors.Is(err, errTooSoon) {
		*lost = err
	}
	return b, err
}

// introspect asks the issuer about a token, RFC 7662 §2.
func (v *Verifier) introspect(ctx context.Context, token string) (map[string]any, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.opts.Introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, unavailable(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if v.opts.ClientID != "" {
		req.SetBasicAuth(url.QueryEscape(v.opts.ClientID), url.QueryEscape(v.opts.Secret))
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, unavailable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, unavailable(errors.Join(err, errors.New("introspection answers "+resp.Status)))
	}
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil {
		return nil, unavailable(errors.New("the answer of introspection does not parse"))
	}
	return claims, v.judge(claims)
}

// judge checks what RFC 7662 §4 leaves to us.
func (v *Verifier) judge(claims map[string]any) error {
	now := v.opts.Now()
	switch {
	case claims["active"] != true:
		return refuse("the token is not valid", nil)
	case claims["iss"] != nil && claims["iss"] != v.opts.Issuer:
		return refuse("the token is from another issuer", nil)
	case !holds(claims["aud"], v.opts.Audience):
		return refuse("the token is for another service", nil)
	case before(claims["exp"], now):
		return refuse("the token has expired", nil)
	case claims["nbf"] != nil && !before(claims["nbf"], now.Add(leeway)):
		return refuse("the token is not valid yet", nil)
	}
	return nil
}

// leeway is by how much clocks may differ.
const leeway = 5 * time.Minute

// before reports whether a NumericDate is in the past; one that is absent is not.
func before(v any, now time.Time) bool {
	n, ok := v.(float64)
	return ok && !time.Unix(int64(n), 0).After(now)
}

// holds reports whether aud, a string or a list of them, names us.
func holds(aud any, us string) bool {
	switch aud := aud.(type) {
	case string:
		return aud == us
	case []any:
		for _, a := range aud {
			if a == us {
				return true
			}
		}
	}
	return false
}

func refuse(text string, err error) error {
	return &mail.Error{Kind: mail.Denied, Op: "oauth.Verify", Text: text, Err: err}
}

func unavailable(err error) error {
	return &mail.Error{Kind: mail.Unavailable, Op: "oauth.Verify", Text: "the issuer of tokens cannot be asked now", Err: err}
}
