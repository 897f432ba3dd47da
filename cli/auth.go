package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

func (a *app) authCmd() *cobra.Command {
	return a.noun("auth", "Tokens that let others use the node's API", nil, a.authNew(), a.authInfo(), a.authVerify())
}

// ladder is the permissions up to one: a token for sign may also read and write.
func ladder(perm string) ([]api.Permission, error) {
	all := api.AllPermissions()
	i := slices.Index(all, api.Permission(perm))
	if i < 0 {
		return nil, usagef("permission %q is not read, write, sign or admin", perm)
	}
	return all[:i+1], nil
}

func (a *app) authNew() *cobra.Command {
	var perm string
	return a.verb(verb{
		use: "new", short: "Make a token", aliases: []string{"create-token", "token"},
		long:    "Make a token. It allows what --perm names and everything weaker: read, write, sign (spend from the wallet), admin (keys, tokens, shutdown).",
		example: "  lode auth new --perm read",
		flags:   func(f *pflag.FlagSet) { f.StringVar(&perm, "perm", "read", "read, write, sign or admin") },
		node: func(ctx context.Context, n api.Node, _ []string) error {
			perms, err := ladder(perm)
			if err != nil {
				return err
			}
			token, err := n.AuthNew(ctx, perms)
			if err != nil {
				return err
			}
			return a.show(struct {
				Token string
				Allow []api.Permission
			}{string(token), perms}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, string(token))
				return err
			})
		},
	})
}

func (a *app) authInfo() *cobra.Command {
	var perm string
	return a.verb(verb{
		use: "info", short: "Print what another program needs to reach the node", aliases: []string{"api-info"},
		example: "  eval $(lode auth info --perm sign)",
		flags:   func(f *pflag.FlagSet) { f.StringVar(&perm, "perm", "read", "read, write, sign or admin") },
		node: func(ctx context.Context, n api.Node, _ []string) error {
			perms, err := ladder(perm)
			if err != nil {
				return err
			}
			t, err := a.target()
			if err != nil {
				return err
			}
			token, err := n.AuthNew(ctx, perms)
			if err != nil {
				return err
			}
			info := string(token) + ":" + t.Addr
			return a.show(struct{ Info string }{info}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "FULLNODE_API_INFO=%s\n", info)
				return err
			})
		},
	})
}

func (a *app) authVerify() *cobra.Command {
	return a.verb(verb{
		use: "verify TOKEN", short: "Show what a token allows",
		example: "  lode auth verify eyJhbGciOi…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			perms, err := n.AuthVerify(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(perms, func(w io.Writer) error {
				for _, p := range perms {
					if _, err := fmt.Fprintln(w, p); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}
