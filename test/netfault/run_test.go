package netfault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/devnet"
)

// world is where nodes live: this process in virtual time, or namespaces of the machine.
// Only the run's goroutine calls it.
type world interface {
	// start begins node i and returns when it answers.
	start(i int) error
	// stop ends it in good order, kill as a power cut would.
	stop(i int) error
	kill(i int) error
	// freeze stops a process where it stands, thaw lets it go on.
	freeze(i int) error
	thaw(i int) error
	// api reaches a node that is up.
	api(i int) api.Node
	// log is all that node i has said, as JSON lines.
	log(i int) ([]byte, error)
	// usage is what the node's process takes of the machine, if it has one of its own.
	usage(i int) (usage, bool)
	// attack sets an attacker on nodes; end ends it and gives its figures.
	attack(a attack) (end func() (map[string]float64, error), err error)
	// tunnel makes a tunnel between two nodes and sends transfers through it until endLoad;
	// carries is nil when one that began after a moment came through.
	tunnel(from, to int) error
	carries(since time.Time) error
	endLoad() (map[string]float64, error)
	// oddStart tries a start that cannot work, or that must wait.
	oddStart(kind string) error
	repo(i int) string
}

type usage struct {
	RSS int64 // MiB
	FDs int
	CPU time.Duration
}

// run is a scenario on its way.
type run struct {
	t      *testing.T
	s      scenario
	level  string
	w      world
	fabric *fabric
	birth  *devnet.Birth
	ids    []peer.ID
	epochs clock.Epochs
	watch  *watcher

	up      []bool
	frozen  []bool
	since   []time.Time // of up
	owed    []transfer
	sent    int
	attacks []func() (map[string]float64, error)
	stops   []time.Duration
	peak    usage

	figures []figure
}

type figure struct {
	Name  string
	Value float64
	Unit  string
}

type transfer struct{ from, serial int }

// callTime bounds one question to a node.
const callTime = 10 * time.Second

// sink gets all transfers, one attoFIL each.
var sink = must(address.NewSecp256k1Address([]byte("where the transfers of a scenario go")))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// live runs a scenario to its end; the nodes are stopped then.
func (r *run) live() {
	t := r.t
	r.up, r.frozen, r.since = make([]bool, r.s.Nodes), make([]bool, r.s.Nodes), make([]time.Time, r.s.Nodes)
	r.watch = newWatcher(r.epochs)
	defer func() {
		r.endAttacks() // of a run that failed: none may outlive it
		for i := range r.s.Nodes {
			r.down(i)
		}
		r.watch.wait()
	}()
	late := map[int]bool{}
	for _, i := range r.s.Late {
		late[i] = true
	}
	for i := range r.s.Nodes {
		if !late[i] {
			r.begin(i)
		}
		if t.Failed() {
			return
		}
	}
	plan := r.withTransfers(r.s.plan())
	for _, st := range plan {
		r.sleepUntil(st.Time.Duration)
		if st.Do != "send" && st.Do != "cut" && st.Do != "mend" {
			t.Log(st)
		}
		deeds[st.Do](r, st)
		if t.Failed() {
			return
		}
	}
	r.sleepUntil(r.s.Length.Duration)
	r.endAttacks()
	r.endLoad()
	r.fabric.heal()
	r.settle()
	if dir := os.Getenv("LODE_NETFAULT_OUT"); dir != "" && t.Failed() {
		stacks := make([]byte, 16<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if err := os.WriteFile(filepath.Join(dir, strings.ToLower(r.s.ID)+"-"+r.level+".stacks"), stacks, 0o644); err != nil {
			t.Error(err)
		}
	}
}

// withTransfers adds the load to a plan: nobody sends in the last fifth of the time.
func (r *run) withTransfers(plan []step) []step {
	if r.s.Send.Duration == 0 {
		return plan
	}
	var out []step
	at, n := 2*r.s.Send.Duration, 0
	for _, st := range plan {
		for ; at < st.Time.Duration; at += r.s.Send.Duration {
			out = append(out, step{Time: span{at}, Do: "send", From: n % r.s.Nodes, N: n})
			n++
		}
		out = append(out, st)
	}
	for ; at < r.s.Length.Duration*4/5; at += r.s.Send.Duration {
		out = append(out, step{Time: span{at}, Do: "send", From: n % r.s.Nodes, N: n})
		n++
	}
	return out
}

func (r *run) sleepUntil(d time.Duration) {
	time.Sleep(time.Until(r.epochs.Start(0).Add(d)))
}

// begin starts a node and looks at it from then on.
func (r *run) begin(i int) {
	r.t.Helper()
	if err := r.w.start(i); err != nil {
		r.t.Fatalf("start node %d: %v", i, err)
	}
	r.up[i], r.since[i] = true, time.Now()
	r.watch.follow(i, r.w.api(i))
}

// down stops a node if it is up.
func (r *run) down(i int) {
	r.t.Helper()
	if !r.up[i] {
		return
	}
	if r.frozen[i] {
		if err := r.w.thaw(i); err != nil {
			r.t.Errorf("thaw node %d: %v", i, err)
		}
		r.frozen[i] = false
	}
	r.measure(i)
	r.watch.unfollow(i)
	begin := time.Now()
	if err := r.w.stop(i); err != nil {
		r.t.Errorf("stop node %d: %v", i, err)
	}
	r.stops = append(r.stops, time.Since(begin))
	r.up[i] = false
}

// measure notes what a process takes, for its caps.
func (r *run) measure(i int) {
	if u, ok := r.w.usage(i); ok {
		r.peak.RSS, r.peak.FDs, r.peak.CPU = max(r.peak.RSS, u.RSS), max(r.peak.FDs, u.FDs), max(r.peak.CPU, u.CPU)
	}
}

// pay hands owed transfers to nodes that are up. One that was handed over before goes under
// the same name, so that it is made once.
func (r *run) pay() {
	var left []transfer
	for _, o := range r.owed {
		if !r.up[o.from] || r.frozen[o.from] {
			left = append(left, o)
			continue
		}
		m := &types.Message{From: r.birth.Members[o.from].Keys[0].Address, To: sink, Value: big.NewInt(1), Method: builtin.MethodSend}
		ctx, cancel := context.WithTimeout(r.t.Context(), callTime)
		_, err := r.w.api(o.from).MpoolPushMessage(ctx, m, &api.MessageSendSpec{MsgUuid: fmt.Sprint("transfer-", o.serial)})
		cancel()
		if err != nil {
			left = append(left, o)
		}
	}
	r.owed = left
}

// poll asks again and again until there is no error, and tells how long that took.
func (r *run) poll(within time.Duration, ask func(ctx context.Context) error) (time.Duration, error) {
	begin := time.Now()
	for {
		ctx, cancel := context.WithTimeout(r.t.Context(), callTime)
		err := ask(ctx)
		cancel()
		took := time.Since(begin)
		if err == nil {
			return took, nil
		}
		if took > within {
			return took, fmt.Errorf("after %s: %w", within, err)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// oneHead is nil when all nodes that are up have one head, near the present.
func (r *run) oneHead(ctx context.Context) error {
	var first *types.TipSet
	for i := range r.s.Nodes {
		if !r.up[i] || r.frozen[i] {
			continue
		}
		head, err := r.w.api(i).ChainHead(ctx)
		if err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
		if first == nil {
			first = head
		}
		if !head.Equals(first) {
			return fmt.Errorf("node %d is at %s, another at %s", i, head, first)
		}
		if now := r.epochs.At(time.Now()); head.Height() < now-5 {
			return fmt.Errorf("it is epoch %d, the head is at %d", now, head.Height())
		}
	}
	return nil
}

func (r *run) figure(name string, v float64, unit string) {
	r.figures = append(r.figures, figure{name, v, unit})
}

// report prints the line of a scenario. When LODE_NETFAULT_OUT names a folder it writes the
// figures to a file there and, of a scenario that failed, what the nodes logged.
func (r *run) report(took time.Duration) {
	verdict := "pass"
	if r.t.Failed() {
		verdict = "FAIL"
	}
	var b strings.Builder
	for _, f := range r.figures {
		fmt.Fprintf(&b, "  %s %.4g%s", f.Name, f.Value, f.Unit)
	}
	fmt.Printf("%s %-5s %s in %.0f s: %s:%s\n", verdict, r.s.ID, r.level, took.Seconds(), r.s.Title, b.String())
	dir := os.Getenv("LODE_NETFAULT_OUT")
	if dir == "" {
		return
	}
	out, err := json.MarshalIndent(struct {
		ID, Title, Level, Verdict, Go string
		Seed                          uint64
		Seconds                       float64
		Figures                       []figure
	}{r.s.ID, r.s.Title, r.level, verdict, runtime.Version(), r.s.Seed, took.Seconds(), r.figures}, "", "  ")
	name := filepath.Join(dir, strings.ToLower(r.s.ID)+"-"+r.level)
	err = errors.Join(err, os.WriteFile(name+".json", out, 0o644))
	for i := range r.s.Nodes {
		if !r.t.Failed() || r.w == nil {
			break
		}
		log, lerr := r.w.log(i)
		err = errors.Join(err, lerr, os.WriteFile(fmt.Sprintf("%s-node-%d.log", name, i), log, 0o644))
	}
	if err != nil {
		r.t.Error(err)
	}
}
