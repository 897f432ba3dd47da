package bench

import (
	"context"
	"runtime"

	"github.com/lodenet/lode/proofs/circuit"
	"github.com/lodenet/lode/proofs/registry"
)

// circuitCounts counts constraints beside the reference's, and measures compiling.
func circuitCounts(ctx context.Context, e Env) ([]Row, error) {
	seal, err := registry.SealOf(e.Proof)
	if err != nil {
		return nil, err
	}
	counts, err := circuit.Gadgets(seal.Nodes())
	if err != nil {
		return nil, err
	}
	replication, err := circuit.CountPoRep(seal)
	if err != nil {
		return nil, err
	}
	counts = append(counts, replication)
	winning, window, err := postsOf(e.Proof)
	if err != nil {
		return nil, err
	}
	for _, p := range []registry.PoSt{winning, window} {
		n, err := circuit.CountPoSt(p)
		if err != nil {
			return nil, err
		}
		counts = append(counts, n)
	}
	var rows []Row
	for _, n := range counts {
		row := Row{Name: n.What, Rate: float64(n.Ours), Unit: Constraints}.against("the reference", float64(n.Reference), 0)
		row.AtMost = 1
		if n.Strict {
			row.AtMost, row.Note = 0, "strict here only"
		}
		rows = append(rows, row)
	}
	st, err := circuit.Winning(winning)
	if err != nil {
		return nil, err
	}
	var size int
	compile := task{1, func() error {
		cs, err := st.Compile()
		if err == nil {
			size = cs.GetNbConstraints()
		}
		return err
	}}
	rates, err := e.compareIn(ctx, 2, compile)
	if err != nil {
		return nil, err
	}
	row := Row{Name: "compile winning PoSt", Rate: rates[0] * float64(size), Unit: "constraints/s", Cores: 1}
	return append(rows, row), nil
}

// Constraints is the unit of rows that count.
const Constraints = "constraints"

// allCores are those that most stages use.
func allCores() int { return runtime.GOMAXPROCS(0) }
