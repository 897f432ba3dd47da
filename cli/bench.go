package cli

import "github.com/spf13/cobra"

func (a *app) benchCmd() *cobra.Command {
	return a.noun("bench", "Measure what this machine can do, with no node", nil, a.benchDispatch(), a.benchProofs(), a.benchTunnel())
}
