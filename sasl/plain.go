package sasl

import (
	"bytes"
	"context"
	"strings"
)

var mechPlain = Mechanism{Name: "PLAIN", Plaintext: true, method: ByPassword,
	server: func(a Authority, _ Channel) Server { return &plainServer{auth: a} },
	client: func(c Credentials, _ Channel) Client { return plainClient{c} },
}

// plainServer is PLAIN, RFC 4616 §2.
type plainServer struct {
	auth  Authority
	asked bool
	over  bool
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
	if err := s.auth.Password(ctx, c); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// parsePlain takes [authzid] NUL authcid NUL passwd apart.
func parsePlain(msg []byte) (Credentials, error) {
	fields := bytes.SplitN(msg, []byte{0}, 4)
	if len(fields) != 3 {
		return Credentials{}, invalid("malformed PLAIN response")
	}
	if err := checkIdentity(fields[0]); err != nil {
		return Credentials{}, err
	}
	if err := checkField("login", fields[1]); err != nil {
		return Credentials{}, err
	}
	if err := checkField("password", fields[2]); err != nil {
		return Credentials{}, err
	}
	return Credentials{Login: string(fields[1]), Password: string(fields[2]), As: string(fields[0])}, nil
}

type plainClient struct{ c Credentials }

func (p plainClient) Start() ([]byte, error) {
	if strings.IndexByte(p.c.Login+p.c.Password+p.c.As, 0) >= 0 {
		return nil, invalid("NUL in credentials")
	}
	return []byte(p.c.As + "\x00" + p.c.Login + "\x00" + p.c.Password), nil
}

func (p plainClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > 0 {
		return nil, invalid("unexpected challenge")
	}
	return p.Start()
}
