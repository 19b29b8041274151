package admin

import (
	"time"

	"posthouse/directory"
)

// An Alias is an alias as operations show it.
type Alias struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
	List    bool     `json:"list"` // a mailing list
	// Unsubscribe is where members leave it; OneClick by a POST (RFC 8058 §3.1).
	Unsubscribe string    `json:"unsubscribe,omitempty"`
	OneClick    bool      `json:"oneClick,omitempty"`
	Created     time.Time `json:"created"`
}

func showAlias(a directory.Alias) Alias {
	out := Alias{Address: a.Address.String(), Targets: []string{}, Created: a.Created.UTC()}
	for _, t := range a.Targets {
		out.Targets = append(out.Targets, t.String())
	}
	if l := a.List; l != nil {
		out.List, out.Unsubscribe, out.OneClick = true, l.Unsubscribe, l.OneClick
	}
	return out
}
