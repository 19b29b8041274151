package sasl

import "context"

var mechExternal = Mechanism{Name: "EXTERNAL", method: ByCertificate,
	server: func(a Authority, _ Channel) Server { return &externalServer{auth: a} },
}

// externalServer is EXTERNAL, RFC 4422 §A.1: the client has shown a certificate, and
// says at most whose account it means.
type externalServer struct {
	auth        Authority
	asked, over bool
}

func (s *externalServer) Next(ctx context.Context, response []byte) ([]byte, bool, error) {
	if s.over {
		return nil, false, errOver
	}
	if response == nil && !s.asked {
		s.asked = true
		return []byte{}, false, nil
	}
	s.over = true
	if err := checkIdentity(response); err != nil {
		return nil, false, err
	}
	if err := s.auth.Certificate(ctx, string(response)); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}
