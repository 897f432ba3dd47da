package store

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/lodenet/lode/chain/types"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
	}
	// A logger that a library of boxo starts when it is loaded.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// T is what rapid and testing share.
type T interface {
	require.TestingT
	Helper()
}

func newStore(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	s := open(t, fs)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func open(t T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("chain", Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, TipSets: 8})
	require.NoError(t, err)
	return s
}

func testCid(t T, label string, n uint64) cid.Cid {
	c, err := types.CidBuilder.Sum(binary.BigEndian.AppendUint64([]byte(label), n))
	require.NoError(t, err)
	return c
}

// header makes a header that is told from others by miner, salt, height and parents. Its
// weight, by weigh, is that of its parents and its wins.
func header(t T, parent *types.TipSet, miner uint64, h abi.ChainEpoch, salt uint64, wins int64) *types.BlockHeader {
	t.Helper()
	a, err := address.NewIDAddress(miner)
	require.NoError(t, err)
	parents := []cid.Cid{testCid(t, "placeholder", 0)}
	weight := big.Zero()
	if parent != nil {
		parents = parent.Cids()
		weight, err = weigh(context.Background(), parent)
		require.NoError(t, err)
	}
	// Tickets differ wherever blocks do, as real ones.
	vrf := binary.BigEndian.AppendUint64(nil, miner<<48|salt<<24|uint64(h))
	vrf = append(vrf, types.NewTipSetKey(parents...).Bytes()...)
	sig := &crypto.Signature{Type: crypto.SigTypeBLS, Data: make([]byte, 96)}
	return &types.BlockHeader{
		Miner:                 a,
		Ticket:                &types.Ticket{VRFProof: vrf},
		ElectionProof:         &types.ElectionProof{WinCount: wins, VRFProof: []byte{1}},
		Parents:               parents,
		ParentWeight:          weight,
		Height:                h,
		ParentStateRoot:       testCid(t, "state", salt),
		ParentMessageReceipts: types.EmptyAMTCid,
		Messages:              types.EmptyAMTCid,
		BLSAggregate:          sig,
		Timestamp:             uint64(1000 + 4*h),
		BlockSig:              sig,
		ParentBaseFee:         big.NewInt(100),
	}
}

func tipset(t T, hs ...*types.BlockHeader) *types.TipSet {
	t.Helper()
	ts, err := types.NewTipSet(hs)
	require.NoError(t, err)
	return ts
}

// weigh is a model of consensus: the sum of all wins.
func weigh(_ context.Context, ts *types.TipSet) (big.Int, error) {
	return big.Add(ts.ParentWeight(), big.NewInt(ts.WinCount())), nil
}

func genesis(t T, s *Store) *types.TipSet {
	t.Helper()
	h := header(t, nil, 0, 0, 0, 0)
	require.NoError(t, s.SetGenesis(context.Background(), h))
	return tipset(t, h)
}

// chain offers n tipsets of one block each on top of a tipset, with a null round after every
// third, and returns them.
func chain(t T, s *Store, on *types.TipSet, miner uint64, n int) []*types.TipSet {
	t.Helper()
	var out []*types.TipSet
	for i := range n {
		h := on.Height() + 1
		if i%3 == 2 {
			h++
		}
		on = tipset(t, header(t, on, miner, h, 0, 1))
		_, err := s.Offer(context.Background(), on, weigh)
		require.NoError(t, err)
		out = append(out, on)
	}
	return out
}
