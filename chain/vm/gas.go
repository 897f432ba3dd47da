package vm

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/network"
)

// charge is one amount of gas with its name in traces. Both parts count alike.
type charge struct {
	name             string
	compute, storage int64
}

func (c charge) total() int64 { return c.compute + c.storage }

// prices is a gas schedule (spec chain.md d.3), in gas units.
type prices struct {
	perByte            int64 // stored
	ipldGet, ipldPut   int64
	replicaUpdate      int64
	aggregateSeals     bool
	postFlat, postUnit func(abi.RegisteredPoStProof) int64
	postDivisor        int64
}

// What both schedules share.
const (
	gasMessage          = 38_863
	gasMessageBytes     = 36
	gasInvoke           = 29_233
	gasInvokeFunds      = 27_500
	gasInvokeSend       = 159_672
	gasInvokeMethod     = -5_377
	gasCreateActor      = 1_108_454
	gasCreateActorBytes = 36 + 40
	gasVerifyBLS        = 16_598_605
	gasVerifySecp       = 1_637_292
	gasHashing          = 31_355
	gasUnsealedCID      = 98_647
	gasVerifySeal       = 2_000
	gasConsensusFault   = 495_422
)

// pricesFor is the schedule of a network version: v0 up to 6, calico from 7 on.
func pricesFor(nv network.Version) prices {
	if nv < network.Version7 {
		return prices{
			perByte: 1000, ipldGet: 75_242, ipldPut: 84_070,
			postFlat:    func(t abi.RegisteredPoStProof) int64 { return v0PoSt(t, 748_593_537, 123_861_062) },
			postUnit:    func(t abi.RegisteredPoStProof) int64 { return v0PoSt(t, 85_639, 9_226_981) },
			postDivisor: 2,
		}
	}
	return prices{
		perByte: 1300, ipldGet: 114_617, ipldPut: 353_640,
		replicaUpdate:  36_316_136,
		aggregateSeals: true,
		postFlat:       func(abi.RegisteredPoStProof) int64 { return 117_680_921 },
		postUnit:       func(abi.RegisteredPoStProof) int64 { return 43_780 },
		postDivisor:    1,
	}
}

func v0PoSt(t abi.RegisteredPoStProof, large, other int64) int64 {
	if t == abi.RegisteredPoStProof_StackedDrgWindow32GiBV1 || t == abi.RegisteredPoStProof_StackedDrgWindow64GiBV1 {
		return large
	}
	return other
}

// MessageGas is the gas that carrying a message of a chain length costs: the least gas
// limit that a block may include it with.
func MessageGas(chainLength int, nv network.Version) int64 {
	return pricesFor(nv).message(chainLength).total()
}

func (p prices) message(length int) charge {
	return charge{"OnChainMessage", gasMessage, (gasMessageBytes + int64(length)) * p.perByte}
}

func (p prices) returnValue(length int) charge {
	return charge{"OnChainReturnValue", 0, int64(length) * p.perByte}
}

func (p prices) invocation(hasValue bool, method abi.MethodNum) charge {
	c := charge{name: "OnMethodInvocation", compute: gasInvoke}
	if hasValue {
		c.compute += gasInvokeFunds
		if method == methodSend {
			c.compute += gasInvokeSend
		}
	}
	if method != methodSend {
		c.compute += gasInvokeMethod
	}
	return c
}

func (p prices) get() charge { return charge{"OnIpldGet", p.ipldGet, 0} }

func (p prices) put(length int) charge {
	return charge{"OnIpldPut", p.ipldPut, int64(length) * p.perByte}
}

func (p prices) createActor() charge {
	return charge{"OnCreateActor", gasCreateActor, gasCreateActorBytes * p.perByte}
}

func (p prices) deleteActor() charge {
	return charge{"OnDeleteActor", 0, -gasCreateActorBytes * p.perByte}
}

// signature is the price of checking a signature; false for a type that has none.
func (p prices) signature(t crypto.SigType) (charge, bool) {
	switch t {
	case crypto.SigTypeBLS:
		return charge{"OnVerifySignature", gasVerifyBLS, 0}, true
	case crypto.SigTypeSecp256k1:
		return charge{"OnVerifySignature", gasVerifySecp, 0}, true
	}
	return charge{}, false
}

func (p prices) post(t abi.RegisteredPoStProof, challenged int) charge {
	return charge{"OnVerifyPost", (p.postFlat(t) + int64(challenged)*p.postUnit(t)) / p.postDivisor, 0}
}

// aggregate is the price of checking n seals in one proof.
func (p prices) aggregate(t abi.RegisteredSealProof, n int) charge {
	c := charge{name: "OnVerifyAggregateSeals"}
	if !p.aggregateSeals {
		return c
	}
	per, steps := int64(449_900), aggregateSteps32
	if t == abi.RegisteredSealProof_StackedDrg64GiBV1_1 {
		per, steps = 359_272, aggregateSteps64
	}
	c.compute = per * int64(n)
	for i := len(steps) - 1; i >= 0; i-- {
		if n >= steps[i].from {
			c.compute += steps[i].gas
			break
		}
	}
	return c
}

type aggregateStep struct {
	from int
	gas  int64
}

// Steps for 32 GiB sectors and every other size but 64 GiB; immutable.
var aggregateSteps32 = []aggregateStep{
	{4, 103_994_170}, {7, 112_356_810}, {13, 122_912_610}, {26, 137_559_930},
	{52, 162_039_100}, {103, 210_960_780}, {205, 318_351_180}, {410, 528_274_980},
}

var aggregateSteps64 = []aggregateStep{
	{4, 102_581_240}, {7, 110_803_030}, {13, 120_803_700}, {26, 134_642_130},
	{52, 157_357_890}, {103, 203_017_690}, {205, 304_253_590}, {410, 509_880_640},
}
