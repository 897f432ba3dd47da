package devnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/repo"
)

// Network is a devnet whose nodes all run in this process.
type Network struct {
	Birth *Birth
	Nodes []*node.Node // in the order of Birth.Members
}

// startLead is how long after its making a network's epoch 0 is, so that all nodes are up.
const startLead = 2 * time.Second

// Launch makes a network in dir, which must be empty or missing, and starts its nodes.
func Launch(ctx context.Context, dir string, spec Spec, clk clock.Clock, log *slog.Logger, progress func(step string, done float64)) (*Network, error) {
	birth, err := Create(ctx, filepath.Join(dir, "birth"), spec, func() time.Time { return clk.Now().Add(startLead) }, progress)
	if err != nil {
		return nil, err
	}
	if err := birth.InitRepos(ctx, dir); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, "birth")); err != nil {
		return nil, err
	}
	n := &Network{Birth: birth}
	for _, m := range birth.Members {
		started, err := startNode(ctx, filepath.Join(dir, m.Name), m.Name, spec.Proving, clk, log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", m.Name, err), n.Stop(context.WithoutCancel(ctx)))
		}
		n.Nodes = append(n.Nodes, started)
	}
	return n, nil
}

func startNode(ctx context.Context, dir, name string, proving node.Proving, clk clock.Clock, log *slog.Logger) (*node.Node, error) {
	r, err := repo.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	n, err := node.New(ctx, node.Options{Repo: r, Log: log.With("node", name), Clock: clk, Name: name, Version: "devnet", Proving: proving})
	if err != nil {
		return nil, err
	}
	return n, n.Start(ctx)
}

// Stop stops all nodes, the last one started first.
func (n *Network) Stop(ctx context.Context) error {
	var errs []error
	for i := len(n.Nodes) - 1; i >= 0; i-- {
		errs = append(errs, n.Nodes[i].Stop(ctx))
	}
	return errors.Join(errs...)
}
