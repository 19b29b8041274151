package admin

import (
	"time"

	"posthouse/directory"
)

// An Alias is an alias as operations show it.
type Alias struct {
	Address string    `json:"address"`
	Targets []string  `json:"targets"`
	Created time.Time `json:"created"`
}

func showAlias(a directory.Alias) Alias {
	out := Alias{Address: a.Address.String(), Targets: []string{}, Created: a.Created.UTC()}
	for _, t := range a.Targets {
		out.Targets = append(out.Targets, t.String())
	}
	return out
}
