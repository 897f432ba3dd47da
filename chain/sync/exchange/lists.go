package exchange

import (
	"fmt"
	"io"

	"github.com/lodenet/lode/chain/types"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Bounds of the lists of a response (spec chain.md f.3).
const (
	maxMessages = 150_000
	maxIndices  = 10_000
)

// Indices lists positions of messages; it has at most 10,000 elements.
type Indices struct {
	List []uint64
}

// BlsList and SecpkList hold at most 150,000 messages, none of them nil. Unlike generated
// code, their decoders take memory only as the elements arrive.
type (
	BlsList struct {
		List []*types.Message
	}
	SecpkList struct {
		List []*types.SignedMessage
	}
)

// MarshalCBOR writes a plain array.
func (t *Indices) MarshalCBOR(w io.Writer) error {
	return writeList(w, t.List, maxIndices, func(cw *cbg.CborWriter, v uint64) error {
		return cw.WriteMajorTypeHeader(cbg.MajUnsignedInt, v)
	})
}

// UnmarshalCBOR reads what MarshalCBOR writes.
func (t *Indices) UnmarshalCBOR(r io.Reader) (err error) {
	t.List, err = readList(r, maxIndices, func(cr *cbg.CborReader) (uint64, error) {
		maj, v, err := cr.ReadHeader()
		if err == nil && maj != cbg.MajUnsignedInt {
			err = fmt.Errorf("major type %d is not an unsigned integer", maj)
		}
		return v, err
	})
	return err
}

// MarshalCBOR writes a plain array.
func (t *BlsList) MarshalCBOR(w io.Writer) error {
	return writeList(w, t.List, maxMessages, func(cw *cbg.CborWriter, m *types.Message) error { return m.MarshalCBOR(cw) })
}

// UnmarshalCBOR reads what MarshalCBOR writes.
func (t *BlsList) UnmarshalCBOR(r io.Reader) (err error) {
	t.List, err = readList(r, maxMessages, func(cr *cbg.CborReader) (*types.Message, error) {
		m := new(types.Message)
		return m, m.UnmarshalCBOR(cr)
	})
	return err
}

// MarshalCBOR writes a plain array.
func (t *SecpkList) MarshalCBOR(w io.Writer) error {
	return writeList(w, t.List, maxMessages, func(cw *cbg.CborWriter, m *types.SignedMessage) error { return m.MarshalCBOR(cw) })
}

// UnmarshalCBOR reads what MarshalCBOR writes.
func (t *SecpkList) UnmarshalCBOR(r io.Reader) (err error) {
	t.List, err = readList(r, maxMessages, func(cr *cbg.CborReader) (*types.SignedMessage, error) {
		m := new(types.SignedMessage)
		return m, m.UnmarshalCBOR(cr)
	})
	return err
}

func writeList[T any](w io.Writer, list []T, limit int, write func(*cbg.CborWriter, T) error) error {
	if len(list) > limit {
		return fmt.Errorf("list of %d elements: at most %d are allowed", len(list), limit)
	}
	cw := cbg.NewCborWriter(w)
	if err := cw.WriteMajorTypeHeader(cbg.MajArray, uint64(len(list))); err != nil {
		return err
	}
	for _, v := range list {
		if err := write(cw, v); err != nil {
			return err
		}
	}
	return nil
}

func readList[T any](r io.Reader, limit uint64, read func(*cbg.CborReader) (T, error)) ([]T, error) {
	cr := cbg.NewCborReader(r)
	maj, n, err := cr.ReadHeader()
	if err != nil {
		return nil, err
	}
	if maj != cbg.MajArray || n > limit {
		return nil, fmt.Errorf("not an array of at most %d elements", limit)
	}
	var list []T
	for i := range n {
		v, err := read(cr)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list = append(list, v)
	}
	return list, nil
}
