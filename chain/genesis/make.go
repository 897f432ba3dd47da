package genesis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/account"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/cron"
	init8 "github.com/filecoin-project/specs-actors/v8/actors/builtin/init"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/market"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/power"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/reward"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/system"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/verifreg"
	"github.com/filecoin-project/specs-actors/v8/actors/util/adt"
	"github.com/filecoin-project/specs-actors/v8/actors/util/smoothing"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/minio/blake2b-simd"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/vm"
)

// Make writes the genesis state and block of a template to bs. It returns the block and the
// network with its genesis filled in. It applies the network's policy to the process.
func Make(ctx context.Context, bs types.Blocks, t Template) (*types.BlockHeader, types.Network, error) {
	fail := func(err error) (*types.BlockHeader, types.Network, error) {
		return nil, types.Network{}, fmt.Errorf("genesis of %s: %w", t.Network.Name, err)
	}
	if err := t.check(); err != nil {
		return fail(err)
	}
	if err := vm.SetNetwork(t.Network); err != nil {
		return fail(err)
	}
	w, err := newWorld(ctx, bs)
	if err != nil {
		return fail(err)
	}
	circulating, err := t.addActors(w)
	if err != nil {
		return fail(err)
	}
	for i, m := range t.Miners {
		if err := t.addMiner(ctx, w, MinerAddress(i), m); err != nil {
			return fail(fmt.Errorf("miner %d: %w", i, err))
		}
	}
	if err := settlePower(w); err != nil {
		return fail(err)
	}
	root, err := w.root(ctx)
	if err != nil {
		return fail(err)
	}
	header, err := t.header(ctx, bs, root)
	if err != nil {
		return fail(err)
	}
	n := t.Network
	n.GenesisTime, n.Genesis, n.CirculatingAtGenesis = t.Time, header.Cid().String(), circulating.String()
	return header, n, nil
}

// addActors puts the built-in actors and the accounts. It returns what the template's
// accounts hold.
func (t *Template) addActors(w *world) (abi.TokenAmount, error) {
	systemState, err := system.ConstructState(w.store)
	if err != nil {
		return big.Zero(), err
	}
	powerState, err := power.ConstructState(w.store)
	if err != nil {
		return big.Zero(), err
	}
	marketState, err := market.ConstructState(w.store)
	if err != nil {
		return big.Zero(), err
	}
	verifState, err := verifreg.ConstructState(w.store, idAddress(rootKeyID))
	if err != nil {
		return big.Zero(), err
	}
	ids := map[address.Address]uint64{t.RootKey: rootKeyID, t.Remainder: remainderID}
	held := big.Zero()
	for i, a := range t.Accounts {
		id := uint64(firstAccountID + i)
		ids[a.Key] = id
		held = big.Add(held, a.Balance)
		if err := w.add(idAddress(id), builtin.AccountActorCodeID, a.Balance, &account.State{Address: a.Key}); err != nil {
			return big.Zero(), err
		}
	}
	remainder := big.Sub(types.TotalFilecoin, big.Add(held, rewardBalance))
	if remainder.Sign() < 0 {
		return big.Zero(), fmt.Errorf("the accounts hold %s attoFIL, %s too much", held, remainder.Neg())
	}
	initState, err := t.initState(w.store, ids)
	if err != nil {
		return big.Zero(), err
	}
	for _, a := range []struct {
		id      address.Address
		code    cid.Cid
		balance abi.TokenAmount
		state   cbg.CBORMarshaler
	}{
		{builtin.SystemActorAddr, builtin.SystemActorCodeID, big.Zero(), systemState},
		{builtin.InitActorAddr, builtin.InitActorCodeID, big.Zero(), initState},
		{builtin.RewardActorAddr, builtin.RewardActorCodeID, rewardBalance, reward.ConstructState(big.Zero())},
		{builtin.CronActorAddr, builtin.CronActorCodeID, big.Zero(), cron.ConstructState(cron.BuiltInEntries())},
		{builtin.StoragePowerActorAddr, builtin.StoragePowerActorCodeID, big.Zero(), powerState},
		{builtin.StorageMarketActorAddr, builtin.StorageMarketActorCodeID, big.Zero(), marketState},
		{builtin.VerifiedRegistryActorAddr, builtin.VerifiedRegistryActorCodeID, big.Zero(), verifState},
		{builtin.BurntFundsActorAddr, builtin.AccountActorCodeID, big.Zero(), &account.State{Address: builtin.BurntFundsActorAddr}},
		{idAddress(rootKeyID), builtin.AccountActorCodeID, big.Zero(), &account.State{Address: t.RootKey}},
		{idAddress(remainderID), builtin.AccountActorCodeID, remainder, &account.State{Address: t.Remainder}},
	} {
		if err := w.add(a.id, a.code, a.balance, a.state); err != nil {
			return big.Zero(), err
		}
	}
	return held, nil
}

func (t *Template) initState(store adt.Store, ids map[address.Address]uint64) (*init8.State, error) {
	st, err := init8.ConstructState(store, t.Network.Name)
	if err != nil {
		return nil, err
	}
	m, err := adt.AsMap(store, st.AddressMap, builtin.DefaultHamtBitwidth)
	if err != nil {
		return nil, err
	}
	keys := slices.SortedFunc(maps.Keys(ids), func(a, b address.Address) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		id := cbg.CborInt(ids[key])
		if err := m.Put(abi.AddrKey(key), &id); err != nil {
			return nil, err
		}
	}
	st.NextID = firstMinerID
	st.AddressMap, err = m.Root()
	return st, err
}

// addMiner creates a miner and gives it its sectors as if they had been proven in an earlier
// life (spec chain.md h.2).
func (t *Template) addMiner(ctx context.Context, w *world, want address.Address, m Miner) error {
	sealProof, err := t.Network.SealProof()
	if err != nil {
		return err
	}
	windowProof, err := sealProof.RegisteredWindowPoStProof()
	if err != nil {
		return err
	}
	var made power.CreateMinerReturn
	err = w.call(ctx, m.Owner, builtin.StoragePowerActorAddr, big.Zero(), builtin.MethodsPower.CreateMiner,
		&power.CreateMinerParams{Owner: m.Owner, Worker: m.Worker, WindowPoStProofType: windowProof, Peer: m.PeerID, Multiaddrs: m.Multiaddrs}, &made)
	if err != nil {
		return err
	}
	if made.IDAddress != want {
		return fmt.Errorf("got the address %s, want %s", made.IDAddress, want)
	}
	if err := w.call(ctx, m.Owner, want, m.Funds, builtin.MethodSend, nil, nil); err != nil {
		return err
	}
	for _, s := range m.Sectors {
		if err := t.addSector(ctx, w, want, m.Worker, sealProof, s); err != nil {
			return fmt.Errorf("sector %d: %w", s.Number, err)
		}
	}
	return activate(w, want)
}

func (t *Template) addSector(ctx context.Context, w *world, maddr, worker address.Address, sealProof abi.RegisteredSealProof, s Sector) error {
	err := w.call(ctx, worker, maddr, big.Zero(), builtin.MethodsMiner.PreCommitSector, &miner.PreCommitSectorParams{
		SealProof: sealProof, SectorNumber: s.Number, SealedCID: s.SealedCID, SealRandEpoch: -1,
		Expiration: t.expiration(),
	}, nil)
	if err != nil {
		return err
	}
	none := smoothing.NewEstimate(big.Zero(), big.Zero())
	err = w.call(ctx, builtin.StoragePowerActorAddr, maddr, big.Zero(), builtin.MethodsMiner.ConfirmSectorProofsValid,
		&builtin.ConfirmSectorProofsParams{Sectors: []abi.SectorNumber{s.Number}, RewardSmoothed: none, RewardBaselinePower: big.Zero(), QualityAdjPowerSmoothed: none}, nil)
	if err != nil {
		return err
	}
	size := big.NewIntUnsigned(t.Network.Policy.SectorSize)
	return w.call(ctx, maddr, builtin.StoragePowerActorAddr, big.Zero(), builtin.MethodsPower.UpdateClaimedPower,
		&power.UpdateClaimedPowerParams{RawByteDelta: size, QualityAdjustedDelta: size}, nil)
}

// expiration lets pre-sealed sectors live as long as the actors allow, up to a whole number
// of proving periods (spec chain.md h.2).
func (t *Template) expiration() abi.ChainEpoch {
	period := t.Network.Policy.ProvingPeriod
	return (miner.MaxSectorExpirationExtension/period - 1) * period
}

// activate makes the sectors count from the first epoch, without a first window PoSt.
func activate(w *world, maddr address.Address) error {
	var st miner.State
	return w.edit(maddr, &st, func() error {
		deadlines, err := st.LoadDeadlines(w.store)
		if err != nil {
			return err
		}
		err = deadlines.ForEach(w.store, func(i uint64, dl *miner.Deadline) error {
			parts, err := dl.PartitionsArray(w.store)
			if err != nil {
				return err
			}
			for p := range parts.Length() {
				var part miner.Partition
				if found, err := parts.Get(p, &part); err != nil || !found {
					return fmt.Errorf("partition %d of deadline %d: found %t: %w", p, i, found, err)
				}
				part.Unproven, part.UnprovenPower = bitfield.New(), miner.NewPowerPairZero()
				if err := parts.Set(p, &part); err != nil {
					return err
				}
			}
			if dl.Partitions, err = parts.Root(); err != nil {
				return err
			}
			return deadlines.UpdateDeadline(w.store, i, dl)
		})
		if err != nil {
			return err
		}
		return st.SaveDeadlines(w.store, deadlines)
	})
}

// settlePower makes this epoch's figures and the smoothed power those of the miners at hand.
// The public network's starting estimate, hundreds of PiB, would take a day of epochs to
// come down, and all prices with it.
func settlePower(w *world) error {
	var st power.State
	return w.edit(builtin.StoragePowerActorAddr, &st, func() error {
		st.ThisEpochRawBytePower, st.ThisEpochQualityAdjPower = power.CurrentTotalPower(&st)
		st.ThisEpochPledgeCollateral = st.TotalPledgeCollateral
		st.ThisEpochQAPowerSmoothed = smoothing.NewEstimate(st.ThisEpochQualityAdjPower, big.Zero())
		return nil
	})
}

func (t *Template) header(ctx context.Context, bs types.Blocks, root cid.Cid) (*types.BlockHeader, error) {
	// The parent of the genesis is a note, so that whoever follows the link finds an object.
	note := append([]byte{0x78, byte(len(t.note()))}, t.note()...) // CBOR text of 24 to 255 bytes
	if err := putRaw(ctx, bs, note); err != nil {
		return nil, err
	}
	parent, err := types.CidBuilder.Sum(note)
	if err != nil {
		return nil, err
	}
	meta, err := (&types.MsgMeta{BlsMessages: types.EmptyAMTCid, SecpkMessages: types.EmptyAMTCid}).ToStorageBlock()
	if err != nil {
		return nil, err
	}
	ticket := blake2b.Sum256(fmt.Appendf(note, "%d", t.Time))
	h := &types.BlockHeader{
		Miner:                 builtin.SystemActorAddr,
		Ticket:                &types.Ticket{VRFProof: ticket[:]},
		ElectionProof:         &types.ElectionProof{},
		BeaconEntries:         []types.BeaconEntry{{Round: 0, Data: make([]byte, 32)}},
		Parents:               []cid.Cid{parent},
		ParentWeight:          big.Zero(),
		ParentStateRoot:       root,
		ParentMessageReceipts: types.EmptyAMTCid,
		Messages:              meta.Cid(),
		Timestamp:             t.Time,
		ParentBaseFee:         types.InitialBaseFee,
	}
	b, err := h.ToStorageBlock()
	if err != nil {
		return nil, err
	}
	return h, bs.PutMany(ctx, []blocks.Block{meta, b})
}

func (t *Template) note() string {
	s := "lode genesis of the network " + t.Network.Name
	return s[:min(len(s), 255)]
}

func putRaw(ctx context.Context, bs types.Blocks, raw []byte) error {
	c, err := types.CidBuilder.Sum(raw)
	if err != nil {
		return err
	}
	b, err := blocks.NewBlockWithCid(raw, c)
	if err != nil {
		return err
	}
	return bs.Put(ctx, b)
}
