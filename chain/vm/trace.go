package vm

import (
	"encoding/json"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/exitcode"
)

// codecCBOR marks non-empty parameters and return values.
const codecCBOR = 0x51

// Trace is a call with its gas charges and the calls it made (spec chain.md d.4). Its JSON
// form is the one of Filecoin's APIs.
type Trace struct {
	Msg        TraceMessage
	MsgRct     TraceReturn
	GasCharges []GasCharge
	Subcalls   []*Trace
}

// TraceMessage is what was called.
type TraceMessage struct {
	From, To    address.Address
	Value       abi.TokenAmount // attoFIL
	Method      abi.MethodNum
	Params      []byte
	ParamsCodec uint64
}

// TraceReturn is what came of it.
type TraceReturn struct {
	ExitCode    exitcode.ExitCode
	Return      []byte
	ReturnCodec uint64
}

// GasCharge is one charge, in gas units.
type GasCharge struct {
	Name                    string
	Total, Compute, Storage int64
}

// MarshalJSON writes the short names of Filecoin's APIs. The time each step took (tt) is
// not measured: a result is the same on every machine.
func (g GasCharge) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string
		TG   int64 `json:"tg"`
		CG   int64 `json:"cg"`
		SG   int64 `json:"sg"`
		TT   int64 `json:"tt"`
	}{g.Name, g.Total, g.Compute, g.Storage, 0})
}

// newTrace starts the trace of a call; only the VM's caller asks for one (Env.Trace).
func newTrace(c call) *Trace {
	return &Trace{Msg: TraceMessage{
		From: c.from, To: c.to, Value: c.value, Method: c.method, Params: c.params, ParamsCodec: codec(c.params),
	}}
}

func codec(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	return codecCBOR
}

// add notes a charge. This and the other methods do nothing on a nil trace.
func (t *Trace) add(c charge) {
	if t != nil {
		t.GasCharges = append(t.GasCharges, GasCharge{Name: c.name, Total: c.total(), Compute: c.compute, Storage: c.storage})
	}
}

// mark notes a step that costs nothing.
func (t *Trace) mark(name string) { t.add(charge{name: name}) }

func (t *Trace) finish(ret []byte, code exitcode.ExitCode) {
	if t != nil {
		t.MsgRct = TraceReturn{ExitCode: code, Return: ret, ReturnCodec: codec(ret)}
	}
}
