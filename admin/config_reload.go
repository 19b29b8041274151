package admin

import (
	"context"

	"posthouse/mail"
)

// ConfigReload is the input of config.reload.
type ConfigReload struct {
	Dry bool `json:"dry"` // only say what it would change
}

// Reloaded is the output of config.reload: the keys whose values differ.
type Reloaded struct {
	V       int      `json:"v"`
	Applied []string `json:"applied"`
	AtStart []string `json:"atStart"` // those that wait for the next start
}

func configReload(ctx context.Context, s *System, in ConfigReload) (Reloaded, error) {
	if s.Reload == nil {
		return Reloaded{}, refuse(mail.Unavailable, "config.reload", "the server is stopped: it reads its configuration when it starts")
	}
	return s.Reload(ctx, in.Dry)
}
