package sasl

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"posthouse/mail"
)

var mechPlain = Mechanism{Name: "PLAIN", Plaintext: true,
	server: func(v Verifier) Server { return &plainServer{verify: v} },
	client: func(c Credentials) Client { return plainClient{c} },
}

var errOver = errors.New("sasl: the exchange is over")

// plainServer is PLAIN, RFC 4616 §2.
type plainServer struct {
	verify Verifier
	asked  bool
	over   bool
}

func (s *plainServer) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	if s.over {
		return nil, false, errOver
	}
	if response == nil && !s.asked {
		s.asked = true
		return []byte{}, false, nil
	}
	s.over = true
	c, err := parsePlain(response)
	if err != nil {
		return nil, false, err
	}
	if err := s.verify(ctx, c); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// parsePlain takes [authzid] NUL authcid NUL passwd apart. Nobody acts for another
// here: an authorization identity must be the login itself.
func parsePlain(msg []byte) (Credentials, error) {
	fields := bytes.SplitN(msg, []byte{0}, 4)
	if len(fields) != 3 {
		return Credentials{}, invalid("malformed PLAIN response")
	}
	if err := checkField("login", fields[1]); err != nil {
		return Credentials{}, err
	}
	if err := checkField("password", fields[2]); err != nil {
		return Credentials{}, err
	}
	c := Credentials{Login: string(fields[1]), Password: string(fields[2])}
	if as := string(fields[0]); as != "" && !strings.EqualFold(as, c.Login) {
		return Credentials{}, &mail.Error{Kind: mail.Denied, Op: "sasl", Text: "may not act for another account"}
	}
	return c, nil
}

type plainClient struct{ c Credentials }

func (p plainClient) Start() ([]byte, error) {
	if strings.IndexByte(p.c.Login+p.c.Password, 0) >= 0 {
		return nil, invalid("NUL in credentials")
	}
	return []byte("\x00" + p.c.Login + "\x00" + p.c.Password), nil
}

func (p plainClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > 0 {
		return nil, invalid("unexpected challenge")
	}
	return p.Start()
}
