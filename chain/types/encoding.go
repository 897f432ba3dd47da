package types

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// CidBuilder makes the CIDs of chain objects: CIDv1, dag-cbor, blake2b-256 (spec a.2).
var CidBuilder = cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.BLAKE2B_MIN + 31}

// EmptyArrayCid is the CID of the empty CBOR array: the first head of every actor.
var EmptyArrayCid = sumCid([]byte{0x80})

// EmptyAMTBytes is the encoding of an empty array in the format of messages and receipts.
var EmptyAMTBytes = []byte{0x83, 0x00, 0x00, 0x83, 0x41, 0x00, 0x80, 0x80}

// EmptyAMTCid is the CID of EmptyAMTBytes: no messages, or no receipts.
var EmptyAMTCid = sumCid(EmptyAMTBytes)

// ErrTrailingBytes: bytes follow a top-level object that must stand alone.
var ErrTrailingBytes = errors.New("trailing bytes after the object")

// CborCid is the CID of an object by its CBOR form.
func CborCid(v cbg.CBORMarshaler) (cid.Cid, error) {
	b, err := encode(v)
	if err != nil {
		return cid.Undef, err
	}
	return sumCid(b), nil
}

func encode(v cbg.CBORMarshaler) ([]byte, error) {
	var buf bytes.Buffer
	if err := v.MarshalCBOR(&buf); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// decodeAll decodes one object that must fill b. The generated decoders index and allocate
// within their own limits; a nil big integer or the like cannot come out of them.
func decodeAll(b []byte, v cbg.CBORUnmarshaler) error {
	r := bytes.NewReader(b)
	if err := v.UnmarshalCBOR(r); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if r.Len() != 0 {
		return fmt.Errorf("%w: %d", ErrTrailingBytes, r.Len())
	}
	return nil
}

func storageBlock(v cbg.CBORMarshaler) (blocks.Block, error) {
	b, err := encode(v)
	if err != nil {
		return nil, err
	}
	return blocks.NewBlockWithCid(b, sumCid(b))
}

func sumCid(b []byte) cid.Cid {
	c, err := CidBuilder.Sum(b)
	if err != nil {
		panic(fmt.Sprintf("blake2b-256 is not registered: %v", err))
	}
	return c
}

// mustCid is for objects of our own making or already decoded: their encoding fails only
// on fields that a decoder would have refused, which is a broken invariant.
func mustCid(v cbg.CBORMarshaler) cid.Cid {
	c, err := CborCid(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return c
}

func mustLen(v cbg.CBORMarshaler) int {
	b, err := encode(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return len(b)
}
