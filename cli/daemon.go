package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/devnet"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
	"github.com/lodenet/lode/wallet"
)

// stopLimit is how long a node may take to stop. Its parts have deadlines of their own.
const stopLimit = 60 * time.Second

func (a *app) daemonCmd() *cobra.Command {
	var fl daemonFlags
	return a.verb(verb{
		use: "daemon", short: "Run the node until it is stopped",
		long: "Run the node until it is stopped by lode stop, an interrupt or a SIGTERM. The log goes to standard error. " +
			"Settings are in config.toml of the repo; LODE_<SECTION>_<KEY> overrides them.",
		example: "  lode daemon\n  lode daemon --offline\n  LODE_LOGGING_LEVEL=debug lode --repo ~/second daemon",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&fl.passphrase, "passphrase-file", "", "file with the passphrase of the keys (LODE_PASSPHRASE_FILE)")
			f.StringVar(&fl.devnet, "devnet", "", "share the clock of the devnet in this folder")
			f.BoolVar(&fl.offline, "offline", false, "take part in no network: answer from what is here (Libp2p.Offline)")
			f.BoolVar(&fl.relay, "relay", false, "let peers that nobody can reach be reached through this node (Libp2p.Relay)")
			f.StringArrayVar(&fl.listen, "listen", nil, "listen here for peers instead (Libp2p.ListenAddresses)")
			f.StringArrayVar(&fl.announce, "announce", nil, "tell peers this address instead (Libp2p.AnnounceAddresses)")
		},
		run: func(ctx context.Context, _ []string) error { return a.daemon(ctx, fl) },
	})
}

// daemonFlags are what lode daemon was asked.
type daemonFlags struct {
	passphrase, devnet string
	offline, relay     bool
	listen, announce   []string
}

// overrides are the settings that flags change, in the form of environment variables.
func (fl daemonFlags) overrides() []string {
	var out []string
	if fl.offline {
		out = append(out, "LODE_LIBP2P_OFFLINE=true")
	}
	if fl.relay {
		out = append(out, "LODE_LIBP2P_RELAY=true")
	}
	if len(fl.listen) > 0 {
		out = append(out, "LODE_LIBP2P_LISTENADDRESSES="+strings.Join(fl.listen, ","))
	}
	if len(fl.announce) > 0 {
		out = append(out, "LODE_LIBP2P_ANNOUNCEADDRESSES="+strings.Join(fl.announce, ","))
	}
	return out
}

func (a *app) daemon(ctx context.Context, fl daemonFlags) (err error) {
	folder := fl.devnet
	r, err := repo.Open(a.dir, append(slices.Clone(a.Env), fl.overrides()...))
	if err != nil {
		return err
	}
	opt := node.Options{Repo: r, Log: a.logger(r.Config().Logging), Version: Version(), Name: filepath.Base(r.Dir())}
	if opt.Passphrase, err = a.unlock(r, fl.passphrase); err != nil {
		return errors.Join(err, r.Close())
	}
	clk := clock.System{}
	if folder != "" {
		if clk, err = devnet.Clock(folder); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	opt.Clock = clk
	if opt.Proving, err = a.proving(); err != nil {
		return errors.Join(err, r.Close())
	}
	n, err := node.New(ctx, opt) // closes the repo when it fails
	if err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	beat, stopBeat := context.WithCancel(ctx)
	defer stopBeat()
	alive := keepAlive(beat, folder, opt.Name, clk)
	select {
	case <-ctx.Done():
	case <-n.Done():
	case <-n.ShutdownAsked():
	case err = <-alive:
		// Without signs of life the next start would turn the network's clock back.
	}
	opt.Log.Info("stopping")
	stopBeat()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return errors.Join(err, n.Stop(stop), <-alive)
}

// keepAlive runs devnet.KeepAlive for a node of a devnet's folder; without one it only waits for
// the end of ctx. The channel gives an error that ended it early, and is closed at its end.
func keepAlive(ctx context.Context, folder, name string, clk clock.Clock) <-chan error {
	end := make(chan error, 1)
	go func() {
		defer close(end)
		if folder == "" {
			<-ctx.Done()
			return
		}
		if err := devnet.KeepAlive(ctx, folder, name, clk); err != nil {
			end <- fmt.Errorf("sign of life of the devnet in %s: %w", folder, err)
		}
	}()
	return end
}

// unlock gets the passphrase if the keys need one.
func (a *app) unlock(r *repo.Repo, file string) ([]byte, error) {
	keys, err := wallet.Open(r.KeystoreDir(), wallet.Options{})
	if err != nil {
		return nil, err
	}
	if keys.Plain() {
		return nil, nil
	}
	return a.passphrase(file, false)
}

// logger writes to standard error as the settings say.
func (a *app) logger(c repo.LoggingConfig) *slog.Logger {
	return newLogger(a.Err, c)
}

func newLogger(w io.Writer, c repo.LoggingConfig) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the settings were checked at their reading
	}
	opt := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}
