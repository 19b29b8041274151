package admin

import (
	"context"

	"posthouse/directory"
)

// Status is the output of status.
type Status struct {
	V        int           `json:"v"`
	Running  bool          `json:"running"`
	Server   *ServerStatus `json:"server,omitempty"`
	Domains  int           `json:"domains"`
	Store    StoreStatus   `json:"store"`
	Problems []string      `json:"problems"`
}

// StoreStatus is the state of the store.
type StoreStatus struct {
	UsedBytes uint64 `json:"usedBytes"`
	FreeBytes uint64 `json:"freeBytes"`
	ReadOnly  bool   `json:"readOnly"` // full disk: reading goes on
	Failed    bool   `json:"failed"`   // stopped after a fault until a restart
}

func status(ctx context.Context, s *System, _ None) (Status, error) {
	st := s.Engine.Stats()
	out := Status{V: 1, Problems: []string{}, Store: StoreStatus{st.UsedBytes, st.FreeBytes, st.ReadOnly, st.Failed}}
	if s.Status != nil {
		server := s.Status()
		out.Running, out.Server = true, &server
		out.Problems = append(out.Problems, server.Problems...)
	}
	if st.Failed {
		out.Problems = append(out.Problems, "the store stopped after a disk fault: look at the log, mend the disk, restart the server")
	} else if st.ReadOnly {
		out.Problems = append(out.Problems, "the disk is full: mail is refused for the time being until there is space")
	}
	err := s.Directory.Domains(ctx, func(directory.Domain) bool { out.Domains++; return true })
	if err == nil && out.Domains == 0 {
		out.Problems = append(out.Problems, "there is no domain yet: posthouse domain add example.org")
	}
	return out, err
}
