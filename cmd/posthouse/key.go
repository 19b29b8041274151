package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"posthouse/admin"
)

func (a *app) accountKeys() *cobra.Command {
	return &cobra.Command{
		Use: "keys ADDRESS", Short: "List the keys whose certificates an account logs in with", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Example: "  posthouse account keys ada@example.org",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Keys
			if err := a.call(c.Context(), "account.keys", admin.Named{Name: args[0]}, &out); err != nil {
				return err
			}
			var names []string
			for _, k := range out.Keys {
				names = append(names, k.Fingerprint)
			}
			return a.print(out, names, func(t *table) {
				if len(out.Keys) == 0 {
					t.line("No keys yet. Add one: posthouse account add-key %s --certificate FILE", args[0])
					return
				}
				t.row("FINGERPRINT", "LABEL", "SINCE")
				for _, k := range out.Keys {
					t.row(k.Fingerprint, k.Label, k.Created)
				}
			})
		},
	}
}

func (a *app) accountAddKey() *cobra.Command {
	var in admin.KeyAdd
	var file string
	c := &cobra.Command{
		Use: "add-key ADDRESS", Short: "Let an account log in with a TLS client certificate", Args: exactly(1, "an address"), ValidArgsFunction: a.complete(1, "account.list"),
		Long: "Let an account log in with a TLS client certificate.\n\nThe key in it is what counts: a certificate that is renewed with the same key works too, whoever signed it.\nThe server asks for certificates if login.client_certificates is on.",
		Example: "  posthouse account add-key ada@example.org --certificate laptop.pem --label laptop\n" +
			"  posthouse account add-key ada@example.org --fingerprint 0f3a...",
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			if (file == "") == (in.Fingerprint == "") {
				return usage("give --certificate or --fingerprint")
			}
			if file != "" {
				var err error
				if in.Certificate, err = readSmall(a.in, file); err != nil {
					return err
				}
			}
			var out admin.Key
			if err := a.call(c.Context(), "account.add-key", in, &out); err != nil {
				return err
			}
			return a.printKey(out, "%s may log in with the key %s.")
		},
	}
	c.Flags().StringVar(&file, "certificate", "", "`file` with the certificate or the public key, PEM; - is standard input")
	c.Flags().StringVar(&in.Fingerprint, "fingerprint", "", "SHA-256 of its SubjectPublicKeyInfo, `hex`adecimal")
	c.Flags().StringVar(&in.Label, "label", "", "`what` you call it, as laptop")
	return c
}

func (a *app) printKey(k admin.Key, text string) error {
	if a.json || a.quiet {
		return a.print(k, []string{k.Fingerprint}, nil)
	}
	a.say(text, k.Account, k.Fingerprint)
	return nil
}

func (a *app) accountRemoveKey() *cobra.Command {
	return &cobra.Command{
		Use: "remove-key ADDRESS FINGERPRINT", Short: "Take a key away from an account and end its sessions", Args: exactly(2, "an address and a fingerprint, or how it begins"),
		ValidArgsFunction: a.complete(1, "account.list"),
		Example:           "  posthouse account remove-key ada@example.org 0f3a",
		RunE: func(c *cobra.Command, args []string) error {
			var out admin.Key
			if err := a.call(c.Context(), "account.remove-key", admin.KeyRemove{Name: args[0], Fingerprint: args[1]}, &out); err != nil {
				return err
			}
			return a.printKey(out, "%s may no longer log in with the key %s.")
		},
	}
}

// readSmall reads a file, or in for "-", up to 64 kB.
func readSmall(in io.Reader, file string) (string, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 64<<10))
	return string(b), err
}
