package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// scramClient is the client of SCRAM.
type scramClient struct {
	c       Credentials
	channel Channel
	hash    Hash
	plus    bool
	nonce   string // "": made at the start

	step      scramStep
	header    []byte
	bare      []byte
	signature []byte
}

func (s *scramClient) Start() ([]byte, error) {
	s.header = []byte("n,")
	if s.plus {
		if len(s.channel.bindings(bindExporter)) == 0 {
			return nil, invalid("nothing to bind to")
		}
		s.header = []byte("p=" + bindExporter + ",")
	}
	if s.c.As != "" {
		s.header = appendName(append(s.header, "a="...), s.c.As)
	}
	s.header = append(s.header, ',')
	if s.nonce == "" {
		var err error
		if s.nonce, err = s.channel.newNonce(); err != nil {
			return nil, err
		}
	}
	s.bare = append(appendName([]byte("n="), Prepare(s.c.Login)), ",r="+s.nonce...)
	s.step = scramFirst
	return append(bytes.Clone(s.header), s.bare...), nil
}

func (s *scramClient) Next(challenge []byte) ([]byte, error) {
	step := s.step
	s.step = scramOver
	switch {
	case step == scramFirst && len(challenge) == 0: // it ignored the initial response
		s.step = scramFirst
		return append(bytes.Clone(s.header), s.bare...), nil
	case step == scramFirst:
		s.step = scramFinal
		return s.final(string(challenge))
	case step == scramFinal:
		got, ok := strings.CutPrefix(string(challenge), "v=")
		sig, err := base64.StdEncoding.DecodeString(got)
		if !ok || err != nil || !hmac.Equal(sig, s.signature) {
			return nil, denied("the server does not know the password")
		}
		return []byte{}, nil
	}
	return nil, errOver
}

// maxClientIterations bounds what a server can make us compute.
const maxClientIterations = 2_000_000

func (s *scramClient) final(first string) ([]byte, error) {
	var nonce, salt64, count string
	fields := strings.Split(first, ",")
	for i, p := range []struct {
		prefix string
		to     *string
	}{{"r=", &nonce}, {"s=", &salt64}, {"i=", &count}} {
		if i >= len(fields) || !strings.HasPrefix(fields[i], p.prefix) {
			return nil, invalid("malformed challenge")
		}
		*p.to = fields[i][2:]
	}
	salt, err := base64.StdEncoding.DecodeString(salt64)
	n, err2 := strconv.Atoi(count)
	if err != nil || err2 != nil || n < 1 || n > maxClientIterations || len(nonce) <= len(s.nonce) || !strings.HasPrefix(nonce, s.nonce) {
		return nil, invalid("malformed challenge")
	}
	client, server, err := scramKeys(s.hash, s.c.Password, salt, n)
	if err != nil {
		return nil, err
	}
	bound := bytes.Clone(s.header)
	if s.plus {
		bound = append(bound, s.channel.bindings(bindExporter)[0]...)
	}
	final := "c=" + base64.StdEncoding.EncodeToString(bound) + ",r=" + nonce
	covered := []byte(string(s.bare) + "," + first + "," + final)
	s.signature = s.hash.mac(server, covered)
	proof := s.hash.mac(s.hash.sum(client), covered)
	subtle.XORBytes(proof, proof, client)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func appendName(dst []byte, s string) []byte {
	return append(dst, strings.NewReplacer(",", "=2C", "=", "=3D").Replace(s)...)
}
