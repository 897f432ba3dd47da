package retrieval

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/pieces"
)

type unsealed []byte

func (u unsealed) ReadPiece(_ context.Context, n abi.SectorNumber, offset, size abi.PaddedPieceSize) (io.ReadCloser, error) {
	if size == 0 || size%128 != 0 || offset%128 != 0 || n != 1 {
		return nil, errors.New("bad read")
	}
	return io.NopCloser(bytes.NewReader(u[offset/128*127 : (offset+size)/128*127])), nil
}

func TestPiece(t *testing.T) {
	ctx := context.Background()
	x, err := pieces.Open(ctx, openDB(t))
	if err != nil {
		t.Fatal(err)
	}
	disk := unsealed(content(2*1016, 8))
	want := disk[1016:]
	c, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("stands for a piece"))
	x.Add(ctx, pieces.Location{CID: c, Size: 1024, Sector: 1, Offset: 1024, Deal: 1})
	srv := httptest.NewServer(New(Config{}, nil, &types.MemBlocks{}, x, disk, quiet).Handler())
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	get := func(path string, head ...string) (*http.Response, []byte) {
		req, _ := http.NewRequest("GET", srv.URL+path, nil)
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, b
	}
	res, got := get("/piece/" + c.String())
	if res.StatusCode != 200 || !bytes.Equal(got, want) || res.Header.Get("Content-Type") != "application/piece" || res.Header.Get("Etag") != `"`+c.String()+`"` {
		t.Errorf("%s, %d bytes, %v", res.Status, len(got), res.Header)
	}
	res, got = get("/piece/"+c.String(), "Range", "bytes=130-399")
	if res.StatusCode != 206 || !bytes.Equal(got, want[130:400]) {
		t.Errorf("range: %s, %d bytes", res.Status, len(got))
	}
	other, _ := cid.V1Builder{Codec: cid.Raw, MhType: 0x12}.Sum([]byte("other"))
	if res, _ := get("/piece/" + other.String()); res.StatusCode != 404 {
		t.Errorf("unknown piece: %s", res.Status)
	}
	if res, _ := get("/piece/x"); res.StatusCode != 400 {
		t.Errorf("no CID: %s", res.Status)
	}
	x.Add(ctx, pieces.Location{CID: c, Size: 1024, Sector: 2, Offset: 1024, Deal: 1})
	if res, _ := get("/piece/" + c.String()); res.StatusCode != 404 {
		t.Errorf("no unsealed copy: %s", res.Status)
	}
}
