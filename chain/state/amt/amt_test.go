package amt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/filecoin-project/specs-actors/actors/util/adt"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	cbornode "github.com/ipfs/go-ipld-cbor"
	"github.com/stretchr/testify/require"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/chain/state/amt"
	"github.com/lodenet/lode/chain/types"
)

type store struct {
	ctx context.Context
	cbornode.IpldStore
}

func (s store) Context() context.Context { return s.ctx }

func cids(t testing.TB, n int) []cid.Cid {
	out := make([]cid.Cid, n)
	for i := range out {
		c, err := types.CidBuilder.Sum(fmt.Append(nil, i))
		require.NoError(t, err)
		out[i] = c
	}
	return out
}

// The array of specs-actors v0.9 is the model: same root for the same list.
func TestBuildEqualsModelAndReadsBack(t *testing.T) {
	ctx := t.Context()
	for _, n := range []int{0, 1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 513, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var bs types.MemBlocks
			list := cids(t, n)
			got, err := amt.BuildCids(ctx, &bs, list)
			require.NoError(t, err)

			model := adt.MakeEmptyArray(store{ctx, cbornode.NewCborStore(&types.MemBlocks{})})
			for _, c := range list {
				v := cbg.CborCid(c)
				require.NoError(t, model.AppendContinuous(&v))
			}
			want, err := model.Root()
			require.NoError(t, err)
			require.Equal(t, want, got)

			back, err := amt.Cids(ctx, &bs, got, uint64(n))
			require.NoError(t, err)
			require.Equal(t, len(list), len(back))
			for i := range list {
				require.Equal(t, list[i], back[i])
			}
			if n > 0 {
				_, err = amt.Cids(ctx, &bs, got, uint64(n-1))
				require.ErrorIs(t, err, amt.ErrTooLong)
			}
		})
	}
}

func TestEmptyIsTheConstant(t *testing.T) {
	var bs types.MemBlocks
	c, err := amt.BuildReceipts(t.Context(), &bs, nil)
	require.NoError(t, err)
	require.Equal(t, types.EmptyAMTCid, c)
}

func TestReceiptsReadBack(t *testing.T) {
	var bs types.MemBlocks
	want := []types.MessageReceipt{{ExitCode: 0, Return: []byte{1, 2}, GasUsed: 3}, {ExitCode: 7, Return: []byte{}, GasUsed: 9}}
	c, err := amt.BuildReceipts(t.Context(), &bs, want)
	require.NoError(t, err)
	got, err := amt.Receipts(t.Context(), &bs, c, 10)
	require.NoError(t, err)
	require.Len(t, got, 2)
	for i := range want {
		require.True(t, want[i].Equals(&got[i]), "got %v want %v", got[i], want[i])
	}
}

// Roots that no builder makes are refused, above all a deep tree without items, whose walk
// would never end.
func TestMalformedIsRefused(t *testing.T) {
	ctx := t.Context()
	var bs types.MemBlocks
	put := func(raw []byte) cid.Cid {
		c, err := types.CidBuilder.Sum(raw)
		require.NoError(t, err)
		b, err := blocks.NewBlockWithCid(raw, c)
		require.NoError(t, err)
		require.NoError(t, bs.Put(ctx, b))
		return c
	}
	link := func(c cid.Cid) []byte {
		var buf bytes.Buffer
		require.NoError(t, cbg.WriteCid(&buf, c))
		return buf.Bytes()
	}
	node := func(c cid.Cid) []byte { // eight links to one child
		raw := []byte{0x83, 0x41, 0xff, 0x88}
		for range 8 {
			raw = append(raw, link(c)...)
		}
		return append(raw, 0x80)
	}
	child := put([]byte{0x83, 0x41, 0x00, 0x80, 0x80})
	for range 19 {
		child = put(node(child))
	}
	for name, raw := range map[string][]byte{
		"bomb":          append([]byte{0x83, 0x14, 0x00}, node(child)...),
		"bomb, counted": append([]byte{0x83, 0x14, 0x18, 0x64}, node(child)...),
		"bitmap":        {0x83, 0x00, 0x01, 0x83, 0x41, 0x03, 0x80, 0x81, 0x00},
		"no value":      {0x83, 0x00, 0x01, 0x83, 0x41, 0x01, 0x80, 0x80},
		"gap":           {0x83, 0x00, 0x01, 0x83, 0x41, 0x02, 0x80, 0x81, 0x00},
		"height":        {0x83, 0x01, 0x00, 0x83, 0x41, 0x00, 0x80, 0x80},
		"height 255":    {0x83, 0x18, 0xff, 0x00, 0x83, 0x41, 0x00, 0x80, 0x80},
		"not an array":  {0xa0},
		"nothing":       {},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := amt.Cids(ctx, &bs, put(raw), 1000)
			require.ErrorIs(t, err, amt.ErrMalformed)
		})
	}
}

func FuzzForEach(f *testing.F) {
	f.Add(types.EmptyAMTBytes, uint16(0))
	f.Add([]byte{0x83, 0x00, 0x01, 0x83, 0x41, 0x01, 0x80, 0x81, 0x05}, uint16(9))
	f.Add([]byte{0x83, 0x01, 0x09, 0x83, 0x41, 0x03, 0x82, 0x00, 0x00, 0x80}, uint16(9))
	f.Fuzz(func(t *testing.T, raw []byte, limit uint16) {
		var bs types.MemBlocks
		c, err := types.CidBuilder.Sum(raw)
		if err != nil {
			t.Fatal(err)
		}
		b, err := blocks.NewBlockWithCid(raw, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := bs.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		err = amt.ForEach(t.Context(), &bs, c, uint64(limit), func(i uint64, _ []byte) error {
			if i != n {
				return errors.New("out of order")
			}
			n++
			return nil
		})
		if n > uint64(limit) || (err != nil && err.Error() == "out of order") {
			t.Fatalf("%d items of at most %d: %v", n, limit, err)
		}
	})
}
