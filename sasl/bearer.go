package sasl

import (
	"context"
	"encoding/json"
	"strings"

	"posthouse/mail"
)

var (
	// OAUTHBEARER, RFC 7628 §3.
	mechOAuthBearer = Mechanism{Name: "OAUTHBEARER", Plaintext: true, method: ByToken,
		server: func(a Authority, _ Channel) Server {
			return &bearerServer{auth: a, parse: parseBearer, status: "invalid_token"}
		}}
	// XOAUTH2 is what Google and Microsoft had before, and many clients only know.
	mechXOAuth2 = Mechanism{Name: "XOAUTH2", Plaintext: true, method: ByToken,
		server: func(a Authority, _ Channel) Server { return &bearerServer{auth: a, parse: parseXOAuth2, status: "401"} }}
)

// bearerServer is both mechanisms. A token that is refused is told as JSON, which the
// client acknowledges with anything (RFC 7628 §3.2.3).
type bearerServer struct {
	auth   Authority
	parse  func(string) (token, as string, err error)
	status string // of a token that is refused

	asked, over bool
	refused     error
}

func (s *bearerServer) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	switch {
	case s.over:
		return nil, false, errOver
	case s.refused != nil:
		s.over = true
		return nil, false, s.refused
	case response == nil && !s.asked:
		s.asked = true
		return []byte{}, false, nil
	}
	token, as, err := s.parse(string(response))
	if err == nil {
		err = s.auth.Token(ctx, token, as)
	}
	if err != nil && mail.KindOf(err) == mail.Denied {
		s.refused = err
		return s.complaint(), false, nil
	}
	s.over = true
	return nil, err == nil, err
}

// complaint is the server's response to a failed authentication, RFC 7628 §3.2.2.
func (s *bearerServer) complaint() []byte {
	c := struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes"`
		Config  string `json:"openid-configuration,omitempty"`
	}{Status: s.status, Schemes: "bearer"}
	if issuer := s.auth.Issuer(); issuer != "" {
		c.Config = strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	}
	b, err := json.Marshal(c)
	if err != nil {
		return []byte(`{"status":"` + s.status + `"}`)
	}
	return b
}

// parseBearer reads a client response, RFC 7628 §3.1: a GS2 header, then pairs.
func parseBearer(msg string) (token, as string, err error) {
	header, rest, ok := strings.Cut(msg, "\x01")
	fields := strings.Split(header, ",")
	if !ok || len(fields) != 3 || fields[2] != "" || fields[0] != "n" && fields[0] != "y" {
		return "", "", invalid("malformed GS2 header")
	}
	if as, err = parseAs(fields[1]); err != nil {
		return "", "", err
	}
	pairs, err := parsePairs(rest)
	if err != nil {
		return "", "", err
	}
	token, err = bearerToken(pairs["auth"])
	return token, as, err
}

// parseXOAuth2 reads user=NAME ^A auth=Bearer TOKEN ^A ^A.
func parseXOAuth2(msg string) (token, as string, err error) {
	pairs, err := parsePairs(msg)
	if err != nil {
		return "", "", err
	}
	if err := checkIdentity([]byte(pairs["user"])); err != nil {
		return "", "", err
	}
	token, err = bearerToken(pairs["auth"])
	return token, pairs["user"], err
}

func parsePairs(s string) (map[string]string, error) {
	body, ok := strings.CutSuffix(s, "\x01\x01")
	if !ok {
		return nil, invalid("malformed response")
	}
	pairs := map[string]string{}
	for p := range strings.SplitSeq(body, "\x01") {
		key, value, ok := strings.Cut(p, "=")
		if _, twice := pairs[key]; !ok || twice {
			return nil, invalid("malformed response")
		}
		pairs[key] = value
	}
	return pairs, nil
}

// bearerToken reads credentials of the scheme Bearer, whose name has no case.
func bearerToken(s string) (string, error) {
	scheme, token, ok := strings.Cut(s, " ")
	token = strings.TrimLeft(token, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", invalid("no bearer token")
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", invalid("malformed token")
		}
	}
	return token, nil
}
