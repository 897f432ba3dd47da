package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
)

func (a *app) getCmd() *cobra.Command {
	var output string
	var patience time.Duration
	return a.verb(verb{
		use: "get CID -o FILE", short: "Fetch a file from any peer that has it, over bitswap",
		long: "Fetch a file over bitswap from any peer that has it: connected ones, Kubo nodes among them, and those that have announced it in the " +
			"network's DHT. Every block is verified. The file appears when it is whole; it is written by the node, so on the node's machine. " +
			"lode retrieve asks storage providers instead.",
		example: "  lode get bafybei… -o holiday.tar",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVarP(&output, "output", "o", "", "file to write (needed)")
			f.DurationVar(&patience, "patience", time.Minute, "give up when nobody sends a block for this long")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			if output == "" {
				return usagef("name the file to write with -o")
			}
			order := &api.RetrieveOrder{Bitswap: true, Patience: patience}
			var err error
			if order.Root, err = parseCid(args[0]); err != nil {
				return err
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
