package genesis

import (
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
)

// Template says what a network starts with.
type Template struct {
	// Network holds the parameters; Make fills in GenesisTime, Genesis and
	// CirculatingAtGenesis of the copy it returns.
	Network types.Network
	// Time is the moment of epoch 0, unix seconds.
	Time uint64
	// Accounts get the ids from 100 on, in order.
	Accounts []Account
	// RootKey is the account (id 80) that appoints verifiers; Remainder (id 90) holds what
	// nobody else does. Both are key addresses.
	RootKey, Remainder address.Address
	// Miners get the ids from 1000 on, in order.
	Miners []Miner
}

// Account is a key address and its balance in attoFIL.
type Account struct {
	Key     address.Address
	Balance abi.TokenAmount
}

// Miner is a storage miner with sectors sealed before the network started. Owner and Worker
// must be accounts of the template; Worker must be a BLS key.
type Miner struct {
	Owner, Worker address.Address
	PeerID        abi.PeerID
	Multiaddrs    []abi.Multiaddrs
	// Funds go from the owner to the miner actor for pledges and collateral, in attoFIL.
	Funds   abi.TokenAmount
	Sectors []Sector
}

// Sector is a pre-sealed sector without deals.
type Sector struct {
	Number    abi.SectorNumber
	SealedCID cid.Cid
}

const (
	firstAccountID = 100
	firstMinerID   = 1000
	rootKeyID      = 80
	remainderID    = 90
)

// rewardBalance is what the reward actor starts with: 1.1·10^9 FIL.
var rewardBalance = big.Mul(big.NewInt(1_100_000_000), types.FilecoinPrecision)

func (t *Template) check() error {
	if err := t.Network.Check(); err != nil {
		return err
	}
	if t.RootKey == address.Undef || t.Remainder == address.Undef {
		return errors.New("genesis: no root key or no remainder account")
	}
	known := map[address.Address]bool{}
	for _, a := range append([]Account{{Key: t.RootKey}, {Key: t.Remainder}}, t.Accounts...) {
		if p := a.Key.Protocol(); p != address.SECP256K1 && p != address.BLS {
			return fmt.Errorf("genesis: account %s is not a key address", a.Key)
		}
		if known[a.Key] {
			return fmt.Errorf("genesis: account %s twice", a.Key)
		}
		known[a.Key] = true
	}
	if len(t.Accounts) > firstMinerID-firstAccountID {
		return fmt.Errorf("genesis: %d accounts, at most %d", len(t.Accounts), firstMinerID-firstAccountID)
	}
	if len(t.Miners) == 0 {
		return errors.New("genesis: without a miner the chain cannot start")
	}
	for i, m := range t.Miners {
		if !known[m.Owner] || !known[m.Worker] {
			return fmt.Errorf("genesis: owner or worker of miner %d is not an account of the template", i)
		}
		if m.Worker.Protocol() != address.BLS {
			return fmt.Errorf("genesis: worker %s of miner %d is not a BLS key", m.Worker, i)
		}
		if len(m.Sectors) == 0 {
			return fmt.Errorf("genesis: miner %d has no sector", i)
		}
	}
	return nil
}

// MinerAddress is the address that the template's miner i gets.
func MinerAddress(i int) address.Address {
	a, err := address.NewIDAddress(firstMinerID + uint64(i))
	if err != nil {
		panic(err) // ids this small always have an address
	}
	return a
}
