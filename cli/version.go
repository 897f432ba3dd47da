package cli

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
)

// version is set by the linker.
var version = ""

// Version is the program's version: the linker's, or that of the module and its commit.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}

func (a *app) versionCmd() *cobra.Command {
	return a.verb(verb{
		use: "version", short: "Print the version of this program",
		example: "  lode version\n  lode version --json",
		run: func(context.Context, []string) error {
			v := struct {
				Version    string
				APIVersion string
			}{Version(), fmt.Sprintf("%d.%d.%d", api.APIVersion>>16, api.APIVersion>>8&0xff, api.APIVersion&0xff)}
			return a.show(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "lode %s (api %s)\n", v.Version, v.APIVersion)
				return err
			})
		},
	})
}
