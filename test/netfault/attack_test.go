package netfault_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/network/host"
)

// attackerEnv tells this program to be an attacker: an attack as JSON.
const attackerEnv = "NETFAULT_ATTACKER"

// attack is what an attacker is to do.
type attack struct {
	Kind    string
	Rate    int
	Number  int      // of this attacker
	Network string   // name
	Genesis string   // CID
	Targets []string // multiaddresses with peer ids
	Listen  string   // in a namespace, separated by commas
	Addrs   []string // of the namespace

	on []int // nodes
}

// kinds are the attacks.
var kinds = map[string]func(ctx context.Context, a attack, h *host.Host) (map[string]float64, error){}

// run attacks until the context ends and tells what it saw.
func (a attack) run(ctx context.Context, h *host.Host) (map[string]float64, error) {
	do, ok := kinds[a.Kind]
	if !ok {
		return nil, fmt.Errorf("nobody knows the attack %q", a.Kind)
	}
	return do(ctx, a, h)
}

// attackerMain is the whole program of an attacker in a namespace: it ends when its input
// does, and prints its figures.
func attackerMain(what string) int {
	figures, err := attackFromOutside(what)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(figures)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func attackFromOutside(what string) (_ map[string]float64, err error) {
	var a attack
	if err := json.Unmarshal([]byte(what), &a); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all we wait for
		cancel()
	}()
	key, err := host.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	opt := host.Options{Key: key}
	for s := range strings.SplitSeq(a.Listen, ",") {
		addr, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, err
		}
		opt.Listen = append(opt.Listen, addr)
	}
	h, err := host.New(opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.Listen(); err != nil {
		return nil, err
	}
	return a.run(ctx, h)
}

func (r *run) attack(st step) {
	if r.level == levelSim && st.SimRate > 0 {
		st.Rate = st.SimRate
	}
	end, err := r.w.attack(attack{Kind: st.Attack, Rate: st.Rate, Number: len(r.attacks), Network: r.birth.Network.Name, Genesis: r.birth.Network.Genesis, on: st.Nodes})
	if err != nil {
		r.t.Fatalf("attack %s: %v", st.Attack, err)
	}
	r.attacks = append(r.attacks, end)
}

// endAttacks ends all attacks and notes what the attackers saw.
func (r *run) endAttacks() {
	for _, end := range r.attacks {
		if end == nil {
			continue
		}
		figures, err := end()
		if err != nil {
			r.t.Errorf("attacker: %v", err)
		}
		for _, name := range slices.Sorted(maps.Keys(figures)) {
			r.figure(name, figures[name], "")
		}
	}
	clear(r.attacks)
}

// attackers is how many attacks a scenario has; each has a place on the network.
func (s *scenario) attackers() int {
	n := 0
	for _, st := range s.Steps {
		if st.Do == "attack" {
			n++
		}
	}
	return n
}
