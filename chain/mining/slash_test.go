package mining

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/repo"
)

func openDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db := sql.OpenDB(repo.Connector(path))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// block makes a block that is told from others by its salt.
func block(t *testing.T, miner uint64, h abi.ChainEpoch, salt string, parents ...cid.Cid) *types.FullBlock {
	t.Helper()
	a, err := address.NewIDAddress(miner)
	require.NoError(t, err)
	if parents == nil {
		parents = []cid.Cid{types.EmptyArrayCid}
	}
	sig := &crypto.Signature{Type: crypto.SigTypeBLS, Data: make([]byte, 96)}
	m := types.Message{To: a, From: a, Value: big.Zero(), GasFeeCap: big.Zero(), GasPremium: big.Zero()}
	return &types.FullBlock{
		BlsMessages:   []*types.Message{&m},
		SecpkMessages: []*types.SignedMessage{{Message: m, Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}}},
		Header: &types.BlockHeader{
			Miner: a, Height: h, Parents: parents, Ticket: &types.Ticket{VRFProof: []byte(salt)},
			ElectionProof: &types.ElectionProof{WinCount: 1}, ParentWeight: big.Zero(), ParentBaseFee: big.Zero(),
			ParentStateRoot: types.EmptyArrayCid, ParentMessageReceipts: types.EmptyAMTCid, Messages: types.EmptyAMTCid,
			BLSAggregate: sig, BlockSig: sig,
		},
	}
}

func tipset(t *testing.T, bs ...*types.FullBlock) *types.TipSet {
	t.Helper()
	f := types.FullTipSet{Blocks: bs}
	ts, err := f.TipSet()
	require.NoError(t, err)
	return ts
}

func TestSlashFilter(t *testing.T) {
	const us, them = 1000, 1001
	base := tipset(t, block(t, them, 4, "base"))
	other := tipset(t, block(t, them, 4, "other"))
	ours := block(t, us, 5, "a", base.Cids()...)
	theirs := block(t, them, 5, "b", base.Cids()...)
	foreign := block(t, them, 5, "c", other.Cids()...)
	older := tipset(t, block(t, them, 2, "older"))
	child := func(miner uint64, h abi.ChainEpoch, on *types.TipSet) *types.FullBlock {
		return block(t, miner, h, fmt.Sprint(miner, h), on.Cids()...)
	}
	for name, c := range map[string]struct {
		block  *types.FullBlock
		parent *types.TipSet
		bad    bool
	}{
		"the same again":                   {ours, base, false},
		"double fork":                      {block(t, us, 5, "again", base.Cids()...), base, true},
		"double fork on another parent":    {block(t, us, 5, "again", other.Cids()...), other, true},
		"time offset":                      {block(t, us, 6, "later", base.Cids()...), base, true},
		"on our own":                       {child(us, 6, tipset(t, ours)), tipset(t, ours), false},
		"on ours and theirs":               {child(us, 6, tipset(t, ours, theirs)), tipset(t, ours, theirs), false},
		"grinding: ours is left out":       {child(us, 6, tipset(t, theirs)), tipset(t, theirs), true},
		"ours is on another chain":         {child(us, 6, tipset(t, foreign)), tipset(t, foreign), false},
		"another miner of ours":            {child(1002, 5, base), base, false},
		"another miner without our block":  {child(1002, 6, tipset(t, theirs)), tipset(t, theirs), false},
		"an older height on another chain": {child(us, 3, older), older, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			f, err := OpenSlashFilter(t.Context(), openDB(t, path))
			require.NoError(t, err)
			require.NoError(t, f.Claim(t.Context(), ours, base))
			for range 2 { // the second time by another process
				err = f.Claim(t.Context(), c.block, c.parent)
				if c.bad {
					require.ErrorIs(t, err, ErrSlashable)
					last, err := f.Last(t.Context(), ours.Header.Miner)
					require.NoError(t, err)
					require.Equal(t, ours.Cid(), last.Cid())
				} else {
					require.NoError(t, err)
				}
				f, err = OpenSlashFilter(t.Context(), openDB(t, path))
				require.NoError(t, err)
			}
		})
	}
}

func TestLastGivesTheWholeBlockBack(t *testing.T) {
	f, err := OpenSlashFilter(t.Context(), openDB(t, ":memory:"))
	require.NoError(t, err)
	b := block(t, 1000, 5, "x")
	last, err := f.Last(t.Context(), b.Header.Miner)
	require.NoError(t, err)
	require.Nil(t, last)
	base := tipset(t, block(t, 1001, 4, "base"))
	require.NoError(t, f.Claim(t.Context(), b, base))
	last, err = f.Last(t.Context(), b.Header.Miner)
	require.NoError(t, err)
	require.Equal(t, b.Cid(), last.Cid())
	require.Equal(t, b.BlsMessages[0].Cid(), last.BlsMessages[0].Cid())
	require.Equal(t, b.SecpkMessages[0].Cid(), last.SecpkMessages[0].Cid())

	// What can no longer be reported is forgotten.
	far := block(t, 1000, 5+2*finality+1, "far", b.Cid())
	require.NoError(t, f.Claim(t.Context(), far, tipset(t, b)))
	require.NoError(t, f.Claim(t.Context(), block(t, 1000, 5, "y", base.Cids()...), base))
	last, err = f.Last(t.Context(), b.Header.Miner)
	require.NoError(t, err)
	require.Equal(t, far.Cid(), last.Cid())
}
