package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/client"
	"github.com/lodenet/lode/repo"
)

// Std is what the process was given.
type Std struct {
	In       io.Reader
	Out, Err io.Writer
	Env      []string // as os.Environ
}

// app is one run of the command line. Its fields are set by the flags before a command runs.
type app struct {
	Std
	dir     string // --repo
	info    string // --api
	json    bool
	quiet   bool
	yes     bool
	timeout time.Duration
	// dial reaches a node; tests put a node of their own here.
	dial func(ctx context.Context, t client.Target) (api.Node, func() error, error)
}

// Main runs a command line and returns the exit code.
func Main(ctx context.Context, args []string, std Std) int {
	a := &app{Std: std, dial: dial}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(a.Err, "lode: %v\n", err)
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintf(a.Err, "see: %s --help\n", cmd.CommandPath())
	}
	return code
}

const rootExample = `  lode devnet up --detach                  a network on this machine
  lode chain head                          the head of the chain of the node in ~/.lode
  lode --repo net/node-1 wallet ls         another node
  lode deal make FILE --provider t01000    store a file`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "lode",
		Short:         "A decentralised-storage node: chain, storage provider, client and gateway in one binary",
		Example:       rootExample,
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
		Args:                       noun,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return a.prefix()
		},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetUsageTemplate(root.UsageTemplate() + "\n" + exitHelp)
	f := root.PersistentFlags()
	f.StringVar(&a.dir, "repo", a.defaultRepo(), "the node's folder (LODE_REPO, LODE_PATH)")
	f.StringVar(&a.info, "api", "", "reach the node here instead, [token:]address (LODE_API_INFO, FULLNODE_API_INFO)")
	f.BoolVar(&a.json, "json", false, "print JSON")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress on standard error")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask before spending or destroying")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this long (0: never)")
	for _, g := range a.groups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	return root
}

type group struct {
	title    string
	commands []*cobra.Command
}

func (a *app) groups() []group {
	return []group{
		{"Node", []*cobra.Command{
			a.versionCmd(), a.initCmd(), a.daemonCmd(), a.stopCmd(), a.statusCmd(), a.waitAPICmd(), a.authCmd(), a.configCmd(), a.idCmd(), a.proveCmd(),
		}},
		{"Networks", []*cobra.Command{a.demoCmd(), a.devnetCmd(), a.networkCmd(), a.paramsCmd()}},
		{"Chain", []*cobra.Command{
			a.chainCmd(), a.actorCmd(), a.messageCmd(), a.mpoolCmd(), a.sendCmd(), a.walletCmd(), a.addressCmd(), a.syncCmd(),
		}},
		{"Network", []*cobra.Command{a.netCmd(), a.pingCmd(), a.dhtCmd(), a.bitswapCmd(), a.bootstrapCmd(), a.p2pCmd(), a.heartbeatCmd()}},
		{"Data", []*cobra.Command{a.clientCmd(), a.dealCmd(), a.retrieveCmd(), a.getCmd(), a.marketCmd()}},
		{"Provider", []*cobra.Command{a.minerCmd(), a.sectorCmd(), a.provingCmd(), a.askCmd()}},
		{"Proofs, with no node", []*cobra.Command{a.sealCmd(), a.unsealCmd(), a.proofCmd(), a.benchCmd()}},
	}
}

// verb describes a command. Exactly one of run and node is set; node is given a connection.
type verb struct {
	use, short, long, example string
	aliases                   []string
	args                      cobra.PositionalArgs
	flags                     func(f *pflag.FlagSet)
	run                       func(ctx context.Context, args []string) error
	node                      func(ctx context.Context, n api.Node, args []string) error
}

func (a *app) verb(v verb) *cobra.Command {
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: v.example, Aliases: v.aliases,
		Args: func(cmd *cobra.Command, args []string) error {
			if v.args == nil {
				v.args = cobra.NoArgs
			}
			if err := v.args(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if a.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("gave up after %s", a.timeout))
				defer cancel()
			}
			var err error
			if v.run != nil {
				err = v.run(ctx, args)
			} else {
				err = a.withNode(ctx, func(n api.Node) error { return v.node(ctx, n, args) })
			}
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		},
	}
	if v.long == "" {
		cmd.Long = v.short + "."
	}
	if v.flags != nil {
		v.flags(cmd.Flags())
	}
	return cmd
}

// noun is a command that only has verbs.
func (a *app) noun(use, short string, aliases []string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Aliases: aliases, Args: noun, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// noun as arguments: a word that is no verb is an error, not a call for help.
func noun(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		hint = "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
}

func dial(ctx context.Context, t client.Target) (api.Node, func() error, error) {
	c, err := client.New(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// withNode connects to the node that flags and environment name.
func (a *app) withNode(ctx context.Context, f func(api.Node) error) (err error) {
	t, err := a.target()
	if err != nil {
		return err
	}
	n, done, err := a.dial(ctx, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return f(n)
}

func (a *app) target() (client.Target, error) {
	for _, info := range []string{a.info, a.env("LODE_API_INFO"), a.env("FULLNODE_API_INFO")} {
		if info != "" {
			t, err := client.ParseInfo(info)
			if err != nil {
				err = &usageError{err}
			}
			return t, err
		}
	}
	return client.FromRepo(a.dir)
}

func (a *app) env(name string) string {
	for _, e := range a.Env {
		if k, v, _ := strings.Cut(e, "="); k == name {
			return v
		}
	}
	return ""
}

func (a *app) defaultRepo() string {
	for _, name := range []string{"LODE_REPO", "LODE_PATH"} {
		if v := a.env(name); v != "" {
			return v
		}
	}
	return filepath.Join(a.env("HOME"), ".lode")
}

// prefix makes addresses print as the network of the repo wants, t where there is none. It
// is a variable of the address library, set before anything runs and left alone when it is
// right.
func (a *app) prefix() error {
	want := address.Testnet
	if net, err := repo.Network(a.dir); err == nil && net.AddressPrefix == address.MainnetPrefix {
		want = address.Mainnet
	} // a repo that cannot be read is the business of the command that needs it
	if address.CurrentNetwork != want {
		address.CurrentNetwork = want
	}
	return nil
}

// absPath makes a path that the node, which has another working folder, understands.
func absPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return abs, nil
}

// readable tells early and clearly what is wrong with a file that a node is to read.
func readable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
