package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
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
	var passphrase, folder string
	return a.verb(verb{
		use: "daemon", short: "Run the node until it is stopped",
		long: "Run the node until it is stopped by lode stop, an interrupt or a SIGTERM. The log goes to standard error. " +
			"Settings are in config.toml of the repo; LODE_<SECTION>_<KEY> overrides them.",
		example: "  lode daemon\n  LODE_LOGGING_LEVEL=debug lode --repo ~/second daemon",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&passphrase, "passphrase-file", "", "file with the passphrase of the keys (LODE_PASSPHRASE_FILE)")
			f.StringVar(&folder, "devnet", "", "share the clock of the devnet in this folder")
		},
		run: func(ctx context.Context, _ []string) error { return a.daemon(ctx, passphrase, folder) },
	})
}

func (a *app) daemon(ctx context.Context, passphraseFile, folder string) (err error) {
	r, err := repo.Open(a.dir, a.Env)
	if err != nil {
		return err
	}
	opt := node.Options{Repo: r, Log: a.logger(r.Config().Logging), Version: Version(), Name: filepath.Base(r.Dir())}
	if opt.Passphrase, err = a.unlock(r, passphraseFile); err != nil {
		return errors.Join(err, r.Close())
	}
	clk := clock.System{}
	if folder != "" {
		if clk, err = devnet.Clock(folder); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	opt.Clock = clk
	n, err := node.New(ctx, opt) // closes the repo when it fails
	if err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	alive := make(chan error, 1)
	beat, stopBeat := context.WithCancel(ctx)
	defer stopBeat()
	if folder != "" {
		go func() { alive <- devnet.KeepAlive(beat, folder, opt.Name, clk) }()
	} else {
		close(alive)
	}
	select {
	case <-ctx.Done():
	case <-n.Done():
	case <-n.ShutdownAsked():
	}
	opt.Log.Info("stopping")
	stopBeat()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return errors.Join(n.Stop(stop), <-alive)
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
