package types_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/stretchr/testify/require"
)

// vectors reads a file of the serialization corpus.
func vectors(t *testing.T, name string, into any) {
	t.Helper()
	const root = "../.."
	dir := os.Getenv("LODE_VECTORS")
	switch {
	case dir == "":
		dir = filepath.Join(root, "../shared/vectors")
	case !filepath.IsAbs(dir):
		dir = filepath.Join(root, dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "serialization", name))
	if os.IsNotExist(err) {
		t.Skipf("no serialization vectors in %s (set LODE_VECTORS)", dir)
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

func TestVectorsSerializationBlockHeaders(t *testing.T) {
	var cases []struct {
		Block   json.RawMessage `json:"block"`
		CborHex string          `json:"cbor_hex"`
		Cid     string          `json:"cid"`
	}
	vectors(t, "block_headers.json", &cases)
	require.NotEmpty(t, cases)
	for i, c := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			want, err := hex.DecodeString(c.CborHex)
			require.NoError(t, err)
			var fromJSON types.BlockHeader
			require.NoError(t, json.Unmarshal(c.Block, &fromJSON))
			b, err := fromJSON.Serialize()
			require.NoError(t, err)
			require.Equal(t, want, b)
			require.Equal(t, c.Cid, fromJSON.Cid().String())

			h, err := types.DecodeBlockHeader(want)
			require.NoError(t, err)
			b, err = h.Serialize()
			require.NoError(t, err)
			require.Equal(t, want, b)
			again, err := json.Marshal(h)
			require.NoError(t, err)
			require.JSONEq(t, inTestnetLetter(t, c.Block), inTestnetLetter(t, again))
			blk, err := h.ToStorageBlock()
			require.NoError(t, err)
			require.Equal(t, want, blk.RawData())
			require.Equal(t, c.Cid, blk.Cid().String())
		})
	}
}

// inTestnetLetter makes JSON comparable: the network letter of addresses is the process's.
func inTestnetLetter(t *testing.T, b []byte) string {
	var m map[string]any
	require.NoError(t, json.Unmarshal(b, &m))
	a, err := address.NewFromString(m["Miner"].(string))
	require.NoError(t, err)
	m["Miner"] = a.String()
	out, err := json.Marshal(m)
	require.NoError(t, err)
	return string(out)
}

func TestVectorsSerializationMessages(t *testing.T) {
	var cases []struct {
		Message types.Message `json:"message"`
		HexCbor string        `json:"hex_cbor"`
	}
	vectors(t, "unsigned_messages.json", &cases)
	require.NotEmpty(t, cases)
	for i, c := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			want, err := hex.DecodeString(c.HexCbor)
			require.NoError(t, err)
			b, err := c.Message.Serialize()
			require.NoError(t, err)
			require.Equal(t, want, b)
			require.Equal(t, len(want), c.Message.ChainLength())

			m, err := types.DecodeMessage(want)
			require.NoError(t, err)
			require.Equal(t, c.Message.Cid(), m.Cid())
			b, err = m.Serialize()
			require.NoError(t, err)
			require.Equal(t, want, b)
		})
	}
}

func TestVectorsSerializationSigning(t *testing.T) {
	var cases []struct {
		Unsigned    types.Message
		Cid         string
		CidHexBytes string
		PrivateKey  []byte
		Signature   crypto.Signature
	}
	vectors(t, "message_signing.json", &cases)
	require.NotEmpty(t, cases)
	for i, c := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			require.Equal(t, c.Cid, c.Unsigned.Cid().String())
			require.Equal(t, c.CidHexBytes, hex.EncodeToString(c.Unsigned.Cid().Bytes()))
			a, err := sigs.Address(c.Signature.Type, c.PrivateKey)
			require.NoError(t, err)
			require.Equal(t, c.Unsigned.From, a)
			sig, err := sigs.Sign(c.Signature.Type, c.PrivateKey, c.Unsigned.Cid().Bytes())
			require.NoError(t, err)
			require.Equal(t, c.Signature, *sig)
			require.NoError(t, sigs.Verify(&c.Signature, a, c.Unsigned.Cid().Bytes()))

			sm := types.SignedMessage{Message: c.Unsigned, Signature: c.Signature}
			want, err := cid.Decode(c.Cid)
			require.NoError(t, err)
			require.Equal(t, want, sm.Cid(), "a BLS message has the CID of its unsigned form")
		})
	}
}
