package e2e

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestTokens: tokens of an issuer, which are JWTs, log in over IMAP and submission by both
// mechanisms, for their own account only; curl sends one.
func TestTokens(t *testing.T) {
	key := newPaper(t, t.TempDir(), "issuer", nil).pair.PrivateKey.(*ecdsa.PrivateKey)
	b64 := base64.RawURLEncoding.EncodeToString
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"one","alg":"ES256","use":"sig","x":%q,"y":%q}]}`, b64(raw[1:33]), b64(raw[33:]))
	}))
	defer issuer.Close()
	token := func(email string, expires time.Duration) string {
		body, err := json.Marshal(map[string]any{"iss": issuer.URL, "aud": "posthouse", "email": email, "exp": time.Now().Add(expires).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		signed := b64([]byte(`{"alg":"ES256","kid":"one","typ":"at+jwt"}`)) + "." + b64(body)
		sum := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return signed + "." + b64(sig)
	}
	r := newRig(t, rigOptions{more: fmt.Sprintf("imap_login_pause = 0\nsmtp_login_pause = 0\n[oauth]\nissuer = %q\naudience = \"posthouse\"\nkeys = %q\nallow_private = true\n", issuer.URL, issuer.URL+"/keys")})
	r.person(t, "ada")
	r.person(t, "ben")
	r.start(t)
	good, late, foreign := token("ada@home.test", time.Hour), token("ada@home.test", -time.Hour), token("ada@elsewhere.test", time.Hour)
	std := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	bearer := func(as, token string) string { return std("n," + as + ",\x01auth=Bearer " + token + "\x01\x01") }
	xoauth := func(user, token string) string { return std("user=" + user + "\x01auth=Bearer " + token + "\x01\x01") }
	for _, tt := range []struct {
		mech, response string
		ok             bool
	}{
		{"OAUTHBEARER", bearer("", good), true}, {"OAUTHBEARER", bearer("a=ada@home.test", good), true}, {"OAUTHBEARER", bearer("a=ben@home.test", good), false},
		{"XOAUTH2", xoauth("ada@home.test", good), true}, {"XOAUTH2", xoauth("ben@home.test", good), false},
		{"OAUTHBEARER", bearer("", late), false}, {"OAUTHBEARER", bearer("", foreign), false}, {"XOAUTH2", xoauth("ada@home.test", good[:len(good)-3]+"AAA"), false},
	} {
		if got := byToken(t, tokenLogin{r.imap, "a AUTHENTICATE", "+ ", "a OK"}, tt.mech, tt.response); got != tt.ok {
			t.Errorf("IMAP %s %q: %v", tt.mech, tt.response, got)
		}
		if got := byToken(t, tokenLogin{r.submission, "EHLO x\r\nAUTH", "334 ", "235"}, tt.mech, tt.response); got != tt.ok {
			t.Errorf("SMTP %s %q: %v", tt.mech, tt.response, got)
		}
	}
	out := tool(t, t.TempDir(), "curl", "-sS", "--max-time", "30", "-u", "ada@home.test:", "--oauth2-bearer", good, "--login-options", "AUTH=OAUTHBEARER", "imap://"+r.imap+"/")
	if !strings.Contains(out, "INBOX") {
		t.Errorf("curl: %q", out)
	}
}

// A tokenLogin is how a protocol spells it.
type tokenLogin struct{ addr, command, challenge, success string }

// byToken logs in and reports whether that was accepted; what is told of a token that is
// refused must be JSON.
func byToken(t *testing.T, p tokenLogin, mech, response string) bool {
	t.Helper()
	c, err := dialRaw(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "%s %s %s\r\n", p.command, mech, response)
	for {
		l, err := c.line()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(l, p.challenge):
			told, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(l, p.challenge))
			var reason struct{ Status string }
			if err != nil || json.Unmarshal(told, &reason) != nil || reason.Status == "" {
				t.Errorf("%s tells %q", mech, told)
			}
			fmt.Fprint(c, "AQ==\r\n")
		case strings.HasPrefix(l, p.success):
			return true
		case strings.HasPrefix(l, "a NO [AUTHENTICATIONFAILED]"), strings.HasPrefix(l, "535 "):
			return false
		}
	}
}
