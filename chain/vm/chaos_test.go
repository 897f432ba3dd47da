package vm

import (
	"errors"
	"fmt"
	"io"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/cbor"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/specs-actors/v2/actors/builtin"
	runtime2 "github.com/filecoin-project/specs-actors/v2/actors/runtime"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// chaosActor is the actor of the test vectors that misbehaves on demand (spec
// conformance.md 7).
type chaosActor struct{}

func (chaosActor) Code() cid.Cid {
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.IDENTITY}.Sum([]byte("fil/1/chaos"))
	if err != nil {
		panic(err)
	}
	return c
}

func (chaosActor) State() cbor.Er { return new(chaosState) }

func (a chaosActor) Exports() []any {
	return []any{
		nil, a.Constructor, a.CallerValidation, a.CreateActor, a.ResolveAddress, a.DeleteActor,
		a.Send, a.MutateState, a.AbortWith, a.InspectRuntime, a.CreateState,
	}
}

func (chaosActor) Constructor(runtime2.Runtime, *abi.EmptyValue) *abi.EmptyValue {
	panic("the chaos actor is not constructed")
}

type callerValidation struct {
	Branch int64
	Addrs  []address.Address
	Types  []cid.Cid
}

func (chaosActor) CallerValidation(rt runtime2.Runtime, p *callerValidation) *abi.EmptyValue {
	switch p.Branch {
	case 0:
	case 1:
		rt.ValidateImmediateCallerAcceptAny()
		rt.ValidateImmediateCallerAcceptAny()
	case 2:
		rt.ValidateImmediateCallerIs(p.Addrs...)
	case 3:
		rt.ValidateImmediateCallerType(p.Types...)
	default:
		panic("unknown branch")
	}
	return nil
}

type createActor struct {
	UndefCode bool
	Code      cid.Cid
	UndefAddr bool
	Addr      address.Address
}

func (chaosActor) CreateActor(rt runtime2.Runtime, p *createActor) *abi.EmptyValue {
	rt.ValidateImmediateCallerAcceptAny()
	code, addr := p.Code, p.Addr
	if p.UndefCode {
		code = cid.Undef
	}
	if p.UndefAddr {
		addr = address.Undef
	}
	rt.CreateActor(code, addr)
	return nil
}

type resolved struct {
	Address address.Address
	Success bool
}

func (chaosActor) ResolveAddress(rt runtime2.Runtime, p *address.Address) *resolved {
	rt.ValidateImmediateCallerAcceptAny()
	a, ok := rt.ResolveAddress(*p)
	if !ok {
		a = builtin.SystemActorAddr
	}
	return &resolved{a, ok}
}

func (chaosActor) DeleteActor(rt runtime2.Runtime, beneficiary *address.Address) *abi.EmptyValue {
	rt.ValidateImmediateCallerAcceptAny()
	rt.DeleteActor(*beneficiary)
	return nil
}

type sendArgs struct {
	To     address.Address
	Value  abi.TokenAmount
	Method abi.MethodNum
	Params []byte
}

type sendReturn struct {
	Return []byte
	Code   exitcode.ExitCode
}

func (chaosActor) Send(rt runtime2.Runtime, p *sendArgs) *sendReturn {
	rt.ValidateImmediateCallerAcceptAny()
	var out rawBytes
	code := rt.Send(p.To, p.Method, rawBytes(p.Params), p.Value, &out)
	return &sendReturn{out, code}
}

type mutateState struct {
	Value  string
	Branch int64
}

func (chaosActor) MutateState(rt runtime2.Runtime, p *mutateState) *abi.EmptyValue {
	rt.ValidateImmediateCallerAcceptAny()
	var st chaosState
	switch p.Branch {
	case 0:
		rt.StateTransaction(&st, func() { st.Value = p.Value })
	case 1:
		rt.StateReadonly(&st)
		st.Value = p.Value
	case 2:
		rt.StateTransaction(&st, func() { st.Value = p.Value + "-in" })
		st.Value = p.Value
	default:
		panic("unknown branch")
	}
	return nil
}

type abortWith struct {
	Code         exitcode.ExitCode
	Message      string
	Uncontrolled bool
}

func (chaosActor) AbortWith(rt runtime2.Runtime, p *abortWith) *abi.EmptyValue {
	if p.Uncontrolled {
		panic(p.Message)
	}
	rt.Abortf(p.Code, "%s", p.Message)
	return nil
}

type inspection struct {
	Caller, Receiver       address.Address
	ValueReceived, Balance abi.TokenAmount
	Epoch                  abi.ChainEpoch
	State                  chaosState
}

func (chaosActor) InspectRuntime(rt runtime2.Runtime, _ *abi.EmptyValue) *inspection {
	rt.ValidateImmediateCallerAcceptAny()
	var st chaosState
	rt.StateReadonly(&st)
	return &inspection{
		Caller: rt.Caller(), Receiver: rt.Receiver(), ValueReceived: rt.ValueReceived(),
		Epoch: rt.CurrEpoch(), Balance: rt.CurrentBalance(), State: st,
	}
}

func (chaosActor) CreateState(rt runtime2.Runtime, _ *abi.EmptyValue) *abi.EmptyValue {
	rt.ValidateImmediateCallerAcceptAny()
	rt.StateCreate(&chaosState{})
	return nil
}

// chaosState has a second field whose elements can be neither written nor read.
type chaosState struct {
	Value       string
	Unreachable int
}

func (s *chaosState) MarshalCBOR(w io.Writer) error {
	if s.Unreachable != 0 {
		return errors.New("element that cannot be written")
	}
	return writeAll(w, header(cbg.MajArray, 2), text(s.Value), header(cbg.MajArray, 0))
}

func (s *chaosState) UnmarshalCBOR(r io.Reader) error {
	d := newTuple(r, 2)
	s.Value = d.text()
	if n := d.header(cbg.MajArray); n != 0 {
		d.fail(errors.New("element that cannot be read"))
	}
	return d.err
}

// rawBytes are parameters or return values as they are.
type rawBytes []byte

func (b rawBytes) MarshalCBOR(w io.Writer) error {
	_, err := w.Write(b)
	return err
}

func (b *rawBytes) UnmarshalCBOR(r io.Reader) (err error) {
	*b, err = io.ReadAll(r)
	return err
}

// The encodings below are written by hand with these small tools.

type piece = func(io.Writer) error

func writeAll(w io.Writer, ps ...piece) error {
	for _, p := range ps {
		if err := p(w); err != nil {
			return err
		}
	}
	return nil
}

func header(maj byte, n uint64) piece {
	return func(w io.Writer) error { return cbg.WriteMajorTypeHeader(w, maj, n) }
}

func text(s string) piece {
	return func(w io.Writer) error {
		if err := cbg.WriteMajorTypeHeader(w, cbg.MajTextString, uint64(len(s))); err != nil {
			return err
		}
		_, err := io.WriteString(w, s)
		return err
	}
}

func integer(n int64) piece {
	return func(w io.Writer) error { return cbg.CborInt(n).MarshalCBOR(w) }
}

func object(m cbor.Marshaler) piece { return m.MarshalCBOR }

type tuple struct {
	r   *cbg.CborReader
	err error
}

func newTuple(r io.Reader, fields uint64) *tuple {
	d := &tuple{r: cbg.NewCborReader(r)}
	if n := d.header(cbg.MajArray); n != fields {
		d.fail(fmt.Errorf("%d fields, want %d", n, fields))
	}
	return d
}

func (d *tuple) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *tuple) header(want byte) uint64 {
	if d.err != nil {
		return 0
	}
	maj, n, err := d.r.ReadHeader()
	if err == nil && maj != want {
		err = fmt.Errorf("major type %d, want %d", maj, want)
	}
	if err != nil {
		d.fail(err)
		return 0
	}
	return n
}

func (d *tuple) object(o cbor.Unmarshaler) {
	if d.err == nil {
		d.fail(o.UnmarshalCBOR(d.r))
	}
}

func (d *tuple) integer() int64 {
	var n cbg.CborInt
	d.object(&n)
	return int64(n)
}

func (d *tuple) boolean() bool {
	var b cbg.CborBool
	d.object(&b)
	return bool(b)
}

func (d *tuple) text() string {
	if d.err != nil {
		return ""
	}
	s, err := cbg.ReadString(d.r)
	d.fail(err)
	return s
}

func (d *tuple) bytes() []byte {
	if d.err != nil {
		return nil
	}
	b, err := cbg.ReadByteArray(d.r, cbg.ByteArrayMaxLen)
	d.fail(err)
	return b
}

func (d *tuple) cid() cid.Cid {
	var c cbg.CborCid
	d.object(&c)
	return cid.Cid(c)
}

func (p *callerValidation) UnmarshalCBOR(r io.Reader) error {
	d := newTuple(r, 3)
	p.Branch = d.integer()
	for range min(d.header(cbg.MajArray), cbg.MaxLength) {
		var a address.Address
		d.object(&a)
		p.Addrs = append(p.Addrs, a)
	}
	for range min(d.header(cbg.MajArray), cbg.MaxLength) {
		p.Types = append(p.Types, d.cid())
	}
	return d.err
}

func (p *createActor) UnmarshalCBOR(r io.Reader) error {
	d := newTuple(r, 4)
	p.UndefCode = d.boolean()
	p.Code = d.cid()
	p.UndefAddr = d.boolean()
	d.object(&p.Addr)
	return d.err
}

func (p *resolved) MarshalCBOR(w io.Writer) error {
	return writeAll(w, header(cbg.MajArray, 2), object(&p.Address), object(cbg.CborBool(p.Success)))
}

func (p *sendArgs) UnmarshalCBOR(r io.Reader) error {
	d := newTuple(r, 4)
	d.object(&p.To)
	p.Value = big.Zero()
	d.object(&p.Value)
	p.Method = abi.MethodNum(d.header(cbg.MajUnsignedInt))
	p.Params = d.bytes()
	return d.err
}

func (p *sendReturn) MarshalCBOR(w io.Writer) error {
	return writeAll(w, header(cbg.MajArray, 2),
		func(w io.Writer) error { return cbg.WriteByteArray(w, p.Return) }, integer(int64(p.Code)))
}

func (p *mutateState) UnmarshalCBOR(r io.Reader) error {
	d := newTuple(r, 2)
	p.Value = d.text()
	p.Branch = d.integer()
	return d.err
}

func (p *abortWith) UnmarshalCBOR(r io.Reader) error {
	d := newTuple(r, 3)
	p.Code = exitcode.ExitCode(d.integer())
	p.Message = d.text()
	p.Uncontrolled = d.boolean()
	return d.err
}

func (p *inspection) MarshalCBOR(w io.Writer) error {
	return writeAll(w, header(cbg.MajArray, 6), object(&p.Caller), object(&p.Receiver),
		object(&p.ValueReceived), integer(int64(p.Epoch)), object(&p.Balance), object(&p.State))
}
