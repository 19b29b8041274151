package sasl

import "context"

// LOGIN was never standardised; Outlook and many devices know nothing else. The
// prompts are those of draft-murchison-sasl-login, which clients compare.
var mechLogin = Mechanism{Name: "LOGIN", Plaintext: true, method: ByPassword,
	server: func(a Authority, _ Channel) Server { return &loginServer{auth: a} },
	client: func(c Credentials, _ Channel) Client { return &loginClient{c: c} },
}

type loginStep uint8

const (
	loginStart loginStep = iota
	loginName
	loginPassword
	loginOver
)

type loginServer struct {
	auth  Authority
	step  loginStep
	login []byte
}

func (s *loginServer) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	switch s.step {
	case loginStart:
		s.step = loginName
		if response == nil {
			return []byte("Username:"), false, nil
		}
		return s.name(response) // Quirk: Outlook and others send the name at once
	case loginName:
		return s.name(response)
	case loginPassword:
		s.step = loginOver
		if err := checkField("password", response); err != nil {
			return nil, false, err
		}
		if err := s.auth.Password(ctx, Credentials{Login: string(s.login), Password: string(response)}); err != nil {
			return nil, false, err
		}
		return nil, true, nil
	}
	return nil, false, errOver
}

func (s *loginServer) name(response []byte) ([]byte, bool, error) {
	if err := checkField("login", response); err != nil {
		s.step = loginOver
		return nil, false, err
	}
	s.login, s.step = response, loginPassword
	return []byte("Password:"), false, nil
}

type loginClient struct {
	c     Credentials
	asked int
}

func (l *loginClient) Start() ([]byte, error) { return nil, nil }

// Next answers by position: servers word their prompts as they like.
func (l *loginClient) Next([]byte) ([]byte, error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte(l.c.Login), nil
	case 2:
		return []byte(l.c.Password), nil
	}
	return nil, invalid("unexpected challenge")
}
