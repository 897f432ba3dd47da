package porcelain

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

// ErrNoSectorSize: the network has no miner yet whose sector size could be used.
var ErrNoSectorSize = errors.New("the network has no miner to take the sector size from")

// NewMiner is what a miner actor is made of.
type NewMiner struct {
	Owner  address.Address // pays, and gets what the miner earns
	Worker address.Address // a BLS key, which signs blocks and messages
}

// MinerMaker is what making a miner needs.
type MinerMaker interface {
	NetAddrsListen(ctx context.Context) (peer.AddrInfo, error)
	StateListMiners(ctx context.Context, tsk types.TipSetKey) ([]address.Address, error)
	StateMinerInfo(ctx context.Context, miner address.Address, tsk types.TipSetKey) (*api.MinerInfo, error)
}

// CreateMinerMessage is the message that makes a miner actor whose peer is this node. Its
// sectors are those of the network's other miners.
func CreateMinerMessage(ctx context.Context, node MinerMaker, m NewMiner) (*types.Message, error) {
	miners, err := node.StateListMiners(ctx, types.TipSetKey{})
	if err != nil {
		return nil, err
	}
	if len(miners) == 0 {
		return nil, ErrNoSectorSize
	}
	other, err := node.StateMinerInfo(ctx, miners[0], types.TipSetKey{})
	if err != nil {
		return nil, fmt.Errorf("miner %s: %w", miners[0], err)
	}
	self, err := node.NetAddrsListen(ctx)
	if err != nil {
		return nil, err
	}
	params := power.CreateMinerParams{Owner: m.Owner, Worker: m.Worker, WindowPoStProofType: other.WindowPoStProofType, Peer: abi.PeerID(self.ID)}
	for _, a := range self.Addrs {
		params.Multiaddrs = append(params.Multiaddrs, a.Bytes())
	}
	var b bytes.Buffer
	if err := params.MarshalCBOR(&b); err != nil {
		return nil, err
	}
	return &types.Message{To: builtin.StoragePowerActorAddr, From: m.Owner, Value: big.Zero(), Method: builtin.MethodsPower.CreateMiner, Params: b.Bytes()}, nil
}

// CreatedMiner reads the receipt of such a message: the new miner's ID address.
func CreatedMiner(found *api.MsgLookup) (address.Address, error) {
	var ret power.CreateMinerReturn
	if err := ret.UnmarshalCBOR(bytes.NewReader(found.Receipt.Return)); err != nil {
		return address.Undef, fmt.Errorf("what message %s returned: %w", found.Message, err)
	}
	return ret.IDAddress, nil
}
