package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/clock"
)

// Folder is a devnet of one process a node:
//
//	devnet.json            what the network is; written last, so that a half-made folder has none
//	network.toml genesis.car
//	pause.json alive/      the standing clock, see pause.go
//	node-0/ node-1/ …      a repo a node
//	node-0.log node-0.pid  what its process printed; the process
//	devnet.lock            is held by who starts or stops nodes, while it looks who runs
type Folder struct {
	dir  string
	plan Plan
}

// Plan is what devnet.json holds.
type Plan struct {
	Network string       `json:"network"`
	Proofs  string       `json:"proofs"`
	Epoch   uint64       `json:"epoch_seconds"`
	Genesis uint64       `json:"genesis_time"`
	Created time.Time    `json:"created"`
	Nodes   []PlanMember `json:"nodes"`
}

// PlanMember is a node of the plan.
type PlanMember struct {
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`
	Miner   string   `json:"miner,omitempty"`
	Account string   `json:"account"` // default wallet address
}

const planFile = "devnet.json"

// ErrNoDevnet: the folder holds no devnet. Make one with Create or `lode devnet up`.
var ErrNoDevnet = errors.New("no devnet in this folder")

// Open reads an existing devnet.
func Open(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, planFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoDevnet)
	}
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir}
	if err := json.Unmarshal(b, &f.plan); err != nil {
		return nil, fmt.Errorf("%s: %w; delete the folder to start anew", filepath.Join(dir, planFile), err)
	}
	return f, nil
}

// Plan tells what the network is.
func (f *Folder) Plan() Plan { return f.plan }

// Repo is the repo of a node.
func (f *Folder) Repo(name string) string { return filepath.Join(f.dir, name) }

// Log is the file that a node's process prints to.
func (f *Folder) Log(name string) string { return filepath.Join(f.dir, name+".log") }

// Clock is the network's clock as the folder has it.
func Clock(dir string) (clock.System, error) {
	p, err := readPause(dir)
	return clock.System{Pause: p}, err
}

// NodeStatus is a node of a running or stopped devnet.
type NodeStatus struct {
	Name    string         `json:"name"`
	PID     int            `json:"pid"` // 0 when it is down
	Height  abi.ChainEpoch `json:"height"`
	Healthy bool           `json:"healthy"`
	Reason  string         `json:"reason,omitempty"` // why it is not healthy
	Roles   []string       `json:"roles"`
	Repo    string         `json:"repo"`
	RPC     string         `json:"rpc,omitempty"`
	Peers   int            `json:"peers"`
}

// Status is the state of a whole devnet.
type Status struct {
	Dir     string         `json:"dir"`
	Network string         `json:"network"`
	Proofs  string         `json:"proofs"`
	Epoch   abi.ChainEpoch `json:"epoch"`    // by the network's clock
	Paused  time.Duration  `json:"pause_ns"` // how far that clock is behind the machine's
	Nodes   []NodeStatus   `json:"nodes"`
}

// Status asks every node. A node that is down or does not answer is listed as such.
func (f *Folder) Status(ctx context.Context) (*Status, error) {
	clk, err := Clock(f.dir)
	if err != nil {
		return nil, err
	}
	epochs := clock.Epochs{Genesis: f.plan.Genesis, Seconds: f.plan.Epoch}
	s := &Status{Dir: f.dir, Network: f.plan.Network, Proofs: f.plan.Proofs, Epoch: epochs.At(clk.Now()), Paused: clk.Pause}
	for _, m := range f.plan.Nodes {
		s.Nodes = append(s.Nodes, f.nodeStatus(ctx, m))
	}
	return s, nil
}
