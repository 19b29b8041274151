package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"posthouse/server"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0, "no name"),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				V        int    `json:"v"`
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{1, server.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(v, []string{v.Version}, func(t *table) {
				t.line("%s", fmt.Sprintf("posthouse %s (%s, %s)", v.Version, v.Go, v.Platform))
			})
		},
	}
}
