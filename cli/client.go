package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lodenet/lode/api"
)

func (a *app) clientCmd() *cobra.Command {
	return a.noun("client", "Files to store", []string{"data"}, a.clientImport(), a.clientLs(), a.retrieveCmd())
}

func (a *app) clientImport() *cobra.Command {
	return a.verb(verb{
		use: "import FILE", short: "Make a file ready for deals and print its root",
		long:    "Make a file ready for deals and print its root. The node keeps the file's blocks; a file larger than a sector makes several pieces, one deal each. The file must be on the node's machine.",
		example: "  lode client import holiday.tar",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			d, err := importFile(ctx, n, args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) error { return showRoot(w, d) })
		},
	})
}

func importFile(ctx context.Context, n api.Client, path string) (*api.DataRoot, error) {
	if err := readable(path); err != nil {
		return nil, err
	}
	abs, err := absPath(path)
	if err != nil {
		return nil, err
	}
	return n.DataImport(ctx, abs)
}

func showRoot(w io.Writer, d *api.DataRoot) error {
	if err := fields(w, "Root", d.Root.String(), "File", d.Name, "Size", size(d.Size)); err != nil {
		return err
	}
	rows := make([][]string, 0, len(d.Pieces))
	for _, p := range d.Pieces {
		rows = append(rows, []string{p.PieceCID.String(), size(uint64(p.PieceSize)), size(p.CARSize)})
	}
	return grid(w, []string{"piece", ">piece size", ">car size"}, rows)
}

func (a *app) clientLs() *cobra.Command {
	return a.verb(verb{
		use: "ls", short: "List what was imported", aliases: []string{"list"},
		example: "  lode client ls",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.DataList(ctx)
			if err != nil {
				return err
			}
			if list == nil {
				list = []*api.DataRoot{}
			}
			return a.show(list, func(w io.Writer) error {
				rows := make([][]string, 0, len(list))
				for _, d := range list {
					rows = append(rows, []string{d.Root.String(), size(d.Size), fmt.Sprint(len(d.Pieces)), when(d.Created), d.Name})
				}
				return grid(w, []string{"root", ">size", ">pieces", "imported", "file"}, rows)
			})
		},
	})
}
