package cli

import (
	"context"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/lodenet/lode/repo"
)

func (a *app) configCmd() *cobra.Command {
	return a.noun("config", "The node's settings", nil, a.configShow(), a.configDefault())
}

func (a *app) configShow() *cobra.Command {
	return a.verb(verb{
		use: "show", short: "Print the settings that the node starts with",
		long:    "Print the settings that the node starts with: config.toml of the repo, with what LODE_<SECTION>_<KEY> in the environment overrides.",
		example: "  lode config show\n  LODE_LOGGING_LEVEL=debug lode config show",
		run: func(context.Context, []string) error {
			c, err := repo.LoadConfig(filepath.Join(a.dir, "config.toml"), a.Env)
			if err != nil {
				return err
			}
			return a.showConfig(c)
		},
	})
}

func (a *app) configDefault() *cobra.Command {
	return a.verb(verb{
		use: "default", short: "Print every setting with its default",
		example: "  lode config default",
		run:     func(context.Context, []string) error { return a.showConfig(repo.DefaultConfig()) },
	})
}

func (a *app) showConfig(c repo.Config) error {
	return a.show(&c, func(w io.Writer) error {
		b, err := c.Encode()
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
}
