package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
)

func (a *app) retrieveCmd() *cobra.Command {
	var output, provider string
	var urls []string
	return a.verb(verb{
		use: "retrieve CID -o FILE", short: "Fetch a file and verify every block of it",
		long: "Fetch a file and verify every block of it. Without --provider and --url the node asks the providers of its own deals for that root. " +
			"The file appears when it is whole; it is written by the node, so on the node's machine.",
		example: "  lode retrieve bafybei… -o holiday.tar\n  lode retrieve bafybei… -o holiday.tar --provider t01000",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVarP(&output, "output", "o", "", "file to write (needed)")
			f.StringVar(&provider, "provider", "", "the provider's miner address")
			f.StringArrayVar(&urls, "url", nil, "a trustless gateway, tried in order")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			if output == "" {
				return usagef("name the file to write with -o")
			}
			root, path, _ := strings.Cut(args[0], "/")
			order := &api.RetrieveOrder{Path: path, URLs: urls}
			var err error
			if order.Root, err = parseCid(root); err != nil {
				return err
			}
			if provider != "" {
				if order.Provider, err = parseAddress(provider); err != nil {
					return err
				}
			}
			if order.Output, err = absPath(output); err != nil {
				return err
			}
			if _, err := os.Lstat(order.Output); err == nil {
				return fmt.Errorf("%s exists already; name another file, or remove it", output)
			}
			return a.retrieve(ctx, n, order)
		},
	})
}

// retrieve shows progress on a terminal and the figures at the end.
func (a *app) retrieve(ctx context.Context, n api.Client, order *api.RetrieveOrder) error {
	live := terminal(a.Err) && !a.quiet
	end, err := porcelain.Fetch(ctx, n, order, func(e *api.RetrieveEvent) {
		if live {
			of := ""
			if e.Total > 0 {
				of = fmt.Sprintf(" of %s (%d%%)", size(e.Total), 100*e.Bytes/e.Total)
			}
			fmt.Fprintf(a.Err, "\r\x1b[K%s%s", size(e.Bytes), of)
		}
	})
	if live {
		fmt.Fprint(a.Err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	return a.show(&struct {
		Output string
		*api.RetrieveEvent
	}{order.Output, end}, func(w io.Writer) error {
		return fields(w, "File", order.Output, "Size", size(end.Bytes), "Blocks", fmt.Sprintf("%d, all verified", end.Blocks), "From", end.Source)
	})
}
