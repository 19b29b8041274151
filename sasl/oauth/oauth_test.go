package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posthouse/mail"
)

// issuer gives out tokens, and answers about them.
type issuer struct {
	*httptest.Server
	key      *ecdsa.PrivateKey
	fetched  atomic.Int64
	answer   atomic.Pointer[string] // of introspection
	status   atomic.Int64
	lastAuth atomic.Pointer[string]
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &issuer{key: key}
	is.status.Store(http.StatusOK)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		is.fetched.Add(1)
		w.WriteHeader(int(is.status.Load()))
		raw, _ := key.PublicKey.Bytes()
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"one","use":"sig","x":%q,"y":%q}]}`, b64(raw[1:33]), b64(raw[33:]))
	})
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		auth := user + ":" + pass + ":" + r.PostFormValue("token")
		is.lastAuth.Store(&auth)
		w.WriteHeader(int(is.status.Load()))
		fmt.Fprint(w, *is.answer.Load())
	})
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/jwks", http.StatusFound) })
	is.Server = httptest.NewServer(mux)
	t.Cleanup(is.Close)
	return is
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token signs claims.
func (is *issuer) token(t *testing.T, header string, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := b64([]byte(header)) + "." + b64(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, is.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + b64(sig)
}

const es256 = `{"alg":"ES256","kid":"one","typ":"at+jwt"}`

func TestJWT(t *testing.T) {
	is := newIssuer(t)
	now := time.Now()
	v := New(Options{Issuer: is.URL, Audience: "posthouse", Keys: is.URL + "/jwks", AllowPrivate: true, transportLimit: time.Nanosecond})
	claims := func(change ...any) map[string]any {
		c := map[string]any{"iss": is.URL, "aud": []string{"other", "posthouse"}, "sub": "1", "email": "ada@demo.test",
			"exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
		for i := 0; i < len(change); i += 2 {
			c[change[i].(string)] = change[i+1]
		}
		return c
	}
	good := is.token(t, es256, claims())
	if who, err := v.Verify(t.Context(), good); err != nil || who != "ada@demo.test" {
		t.Fatal(who, err)
	}
	if who, err := v.Verify(t.Context(), is.token(t, es256, claims("email_verified", true))); err != nil || who == "" {
		t.Fatal(who, err)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, _, _ := strings.Cut(rest, ".")
	for name, bad := range map[string]string{
		"expired":           is.token(t, es256, claims("exp", now.Add(-time.Hour).Unix())),
		"too early":         is.token(t, es256, claims("nbf", now.Add(time.Hour).Unix())),
		"another issuer":    is.token(t, es256, claims("iss", "https://evil.test")),
		"another audience":  is.token(t, es256, claims("aud", "someone")),
		"no audience":       is.token(t, es256, claims("aud", nil)),
		"no address":        is.token(t, es256, claims("email", nil)),
		"unverified":        is.token(t, es256, claims("email_verified", false)),
		"unknown key":       is.token(t, `{"alg":"ES256","kid":"two"}`, claims()),
		"no algorithm":      b64([]byte(`{"alg":"none"}`)) + "." + body + ".",
		"a MAC":             is.token(t, `{"alg":"HS256","kid":"one"}`, claims()),
		"changed":           head + "." + b64([]byte(`{"iss":"x"}`)) + good[strings.LastIndexByte(good, '.'):],
		"no signature":      head + "." + body + ".",
		"nonsense":          "x.y.z",
		"not even that":     "opaque",
		"another signature": is.token(t, es256, claims())[:len(good)-4] + "AAAA",
	} {
		who, err := v.Verify(t.Context(), bad)
		if who != "" || err == nil || mail.KindOf(err) != mail.Denied {
			t.Errorf("%s: %q, %v", name, who, err)
		}
		if strings.Contains(fmt.Sprint(err), bad) {
			t.Errorf("%s: the error holds the token", name)
		}
	}
}

// Tokens of strangers do not make us ask the issuer again and again, and an issuer that
// is away is not the client's fault.
func TestKeysAreAskedForSparingly(t *testing.T) {
	is := newIssuer(t)
	v := New(Options{Issuer: is.URL, Audience: "posthouse", Keys: is.URL + "/jwks", AllowPrivate: true, transportLimit: time.Hour})
	for range 20 {
		_, err := v.Verify(t.Context(), is.token(t, `{"alg":"ES256","kid":"two"}`, map[string]any{"iss": is.URL, "aud": "posthouse", "exp": time.Now().Add(time.Hour).Unix()}))
		if mail.KindOf(err) != mail.Denied {
			t.Fatal(err)
		}
	}
	if n := is.fetched.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	for _, url := range []string{"http://127.0.0.1:1/jwks", is.URL + "/moved"} {
		v = New(Options{Issuer: is.URL, Audience: "posthouse", Keys: url, AllowPrivate: true})
		_, err := v.Verify(t.Context(), is.token(t, es256, map[string]any{"iss": is.URL, "aud": "posthouse", "exp": time.Now().Add(time.Hour).Unix()}))
		if mail.KindOf(err) != mail.Unavailable {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	is := newIssuer(t)
	for _, url := range []string{is.URL, strings.Replace(is.URL, "http://127.0.0.1", "https://localhost", 1)} {
		v := New(Options{Issuer: is.URL, Audience: "posthouse", Introspection: url + "/introspect"})
		if _, err := v.Verify(t.Context(), "opaque"); mail.KindOf(err) != mail.Unavailable || is.lastAuth.Load() != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, a := range []string{"127.0.0.1:443", "10.0.0.1:443", "192.168.1.1:443", "169.254.169.254:80", "[::1]:443", "[fd00::1]:443", "[fe80::1%eth0]:443", "[::ffff:10.0.0.1]:443", "100.64.0.1:443", "0.0.0.0:1", "[64:ff9b::a00:1]:443", "224.0.0.1:1"} {
		if onlyPublic("tcp", a, nil) == nil {
			t.Errorf("%s is taken for public", a)
		}
	}
	for _, a := range []string{"93.184.216.34:443", "[2606:2800:220:1::1]:443"} {
		if err := onlyPublic("tcp", a, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestIntrospection(t *testing.T) {
	is := newIssuer(t)
	v := New(Options{Issuer: "https://id.test", Audience: "posthouse", Introspection: is.URL + "/introspect", ClientID: "mail", Secret: "pass", Claim: "username", AllowPrivate: true})
	future, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	for _, tt := range []struct {
		answer string
		status int
		kind   mail.Kind
		ok     bool
	}{
		{fmt.Sprintf(`{"active":true,"username":"ada@demo.test","aud":"posthouse","iss":"https://id.test","exp":%d}`, future), 200, 0, true},
		{`{"active":true,"username":"ada@demo.test","aud":["posthouse"]}`, 200, 0, true},
		{`{"active":false}`, 200, mail.Denied, false},
		{`{"active":"true","username":"ada@demo.test","aud":"posthouse"}`, 200, mail.Denied, false},
		{`{"active":true,"username":"ada@demo.test"}`, 200, mail.Denied, false},
		{`{"active":true,"username":"ada@demo.test","aud":"other"}`, 200, mail.Denied, false},
		{`{"active":true,"username":"ada@demo.test","aud":"posthouse","iss":"https://evil.test"}`, 200, mail.Denied, false},
		{fmt.Sprintf(`{"active":true,"username":"ada@demo.test","aud":"posthouse","exp":%d}`, past), 200, mail.Denied, false},
		{fmt.Sprintf(`{"active":true,"username":"ada@demo.test","aud":"posthouse","nbf":%d}`, future), 200, mail.Denied, false},
		{`{"active":true,"aud":"posthouse"}`, 200, mail.Denied, false},
		{`{}`, 401, mail.Unavailable, false},
		{`<html>`, 200, mail.Unavailable, false},
		{`{"active":true,` + strings.Repeat(" ", maxAnswer) + `}`, 200, mail.Unavailable, false},
	} {
		is.answer.Store(&tt.answer)
		is.status.Store(int64(tt.status))
		who, err := v.Verify(t.Context(), "opaque")
		if (err == nil) != tt.ok || !tt.ok && mail.KindOf(err) != tt.kind || tt.ok && who != "ada@demo.test" {
			t.Errorf("%.80s: %q, %v", tt.answer, who, err)
		}
	}
	if got := *is.lastAuth.Load(); got != "mail:pass:opaque" {
		t.Error(got)
	}
}
