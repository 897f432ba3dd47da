package retrieval

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/multiformats/go-multiaddr"
)

func FuzzTransports(f *testing.F) {
	f.Add(encodeTransports([]Transport{{"http", []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/80/http")}}, {Name: "bitswap"}}))
	f.Add([]byte{0xa1, 0x69})
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := decodeTransports(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := decodeTransports(bytes.NewReader(encodeTransports(ts)))
		if err != nil || len(again) != len(ts) {
			t.Fatalf("%v became %v (%v)", ts, again, err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("/ipfs/bafkqaaa/a/b", "format=car&entity-bytes=-5:*&dag-scope=entity", "application/vnd.ipld.car;q=0.5,*/*", int64(100))
	f.Fuzz(func(t *testing.T, path, query, accept string, size int64) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Accept", accept)
		q, err := parseRequest(r, path)
		if err != nil || size < 0 {
			return
		}
		if from, to, ok := q.span.within(uint64(size)); ok && (from > to || to > uint64(size)) {
			t.Fatalf("%+v of %d is %d:%d", q.span, size, from, to)
		}
	})
}

// FuzzWalk serves a hostile block: whatever it is, the walk ends and fetch leaves nothing
// but what the block says.
func FuzzWalk(f *testing.F) {
	fs, _ := unixfs.NewFSNode(unixfs.TFile).GetBytes()
	f.Add(merkledag.NodeWithData(fs).RawData(), false)
	f.Add([]byte{0xa1, 0x61, 0x61, 0xd8, 0x2a}, true)
	f.Fuzz(func(t *testing.T, data []byte, cborCodec bool) {
		codec := uint64(cid.DagProtobuf)
		if cborCodec {
			codec = cid.DagCBOR
		}
		c, _ := cid.V1Builder{Codec: codec, MhType: 0x12}.Sum(data)
		b, _ := blocks.NewBlockWithCid(data, c)
		var store types.MemBlocks
		store.Put(context.Background(), b)
		w := &walk{ctx: context.Background(), get: store.Get, emit: func(blocks.Block) error { return nil }}
		_ = w.deliver(b, scopeEntity, &span{from: -3, open: true})
		_ = w.deliver(b, scopeAll, nil)
		_, _, _ = w.resolve(c, []string{"a"})
	})
}
