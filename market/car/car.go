package car

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-varint"
	cbg "github.com/whyrusleeping/cbor-gen"
)

const (
	// MaxBlock is the largest block read, in bytes. Clients refuse blocks above 2 MiB (spec
	// markets.md B.3), some writers make them up to 4.
	MaxBlock = 4 << 20
	// maxHeader bounds the header; a header of one root has 59 bytes.
	maxHeader = 64 << 10
	maxCid    = 256
)

var (
	// ErrFormat: the stream is not a CARv1.
	ErrFormat = errors.New("not a CARv1")
	// ErrHash: a block does not have the hash that its CID names.
	ErrHash = errors.New("block does not fit its CID")
)

// Header is a CARv1 header of one root, with its length prefix.
func Header(root cid.Cid) []byte {
	var body bytes.Buffer
	w := cbg.NewCborWriter(&body)
	// Writes to a buffer do not fail, and the root is defined by contract.
	_ = w.WriteMajorTypeHeader(cbg.MajMap, 2)
	_ = w.WriteMajorTypeHeader(cbg.MajTextString, 5)
	_, _ = w.WriteString("roots")
	_ = w.WriteMajorTypeHeader(cbg.MajArray, 1)
	_ = cbg.WriteCid(w, root)
	_ = w.WriteMajorTypeHeader(cbg.MajTextString, 7)
	_, _ = w.WriteString("version")
	_ = w.WriteMajorTypeHeader(cbg.MajUnsignedInt, 1)
	return append(varint.ToUvarint(uint64(body.Len())), body.Bytes()...)
}

// SectionHead is what comes before the bytes of a block of n bytes.
func SectionHead(c cid.Cid, n uint64) []byte {
	return append(varint.ToUvarint(uint64(c.ByteLen())+n), c.Bytes()...)
}

// SectionSize is the length of a section: head and block.
func SectionSize(c cid.Cid, n uint64) uint64 {
	body := uint64(c.ByteLen()) + n
	return uint64(varint.UvarintSize(body)) + body
}

// Section is one block of a stream and where its bytes begin.
type Section struct {
	Cid    cid.Cid
	Offset uint64 // of Data, from the start of the stream
	Data   []byte // valid until the next call
}

// Reader reads a CARv1 stream.
type Reader struct {
	Roots []cid.Cid

	r   *bufio.Reader
	pos uint64
	buf []byte
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	cr := &Reader{r: bufio.NewReaderSize(r, 64<<10)}
	n, err := cr.length()
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if n == 0 || n > maxHeader {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrFormat, n)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(cr.r, head); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, noEOF(err))
	}
	cr.pos += n
	if cr.Roots, err = decodeHeader(head); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	return cr, nil
}

// Next returns the next block, whose hash it has checked; io.EOF at the end. Zero padding
// after the last section is the end too, so a whole piece can be read.
func (r *Reader) Next() (Section, error) {
	n, err := r.length()
	if err == io.EOF || (err == nil && n == 0) {
		return Section{}, io.EOF
	}
	if err != nil {
		return Section{}, fmt.Errorf("%w: section at byte %d: %w", ErrFormat, r.pos, err)
	}
	if n > MaxBlock+maxCid {
		return Section{}, fmt.Errorf("%w: section of %d bytes at byte %d; the largest block is %d", ErrFormat, n, r.pos, MaxBlock)
	}
	if uint64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.r, b); err != nil {
		return Section{}, fmt.Errorf("%w: section at byte %d: %w", ErrFormat, r.pos, noEOF(err))
	}
	k, c, err := cid.CidFromBytes(b)
	if err != nil {
		return Section{}, fmt.Errorf("%w: section at byte %d: %w", ErrFormat, r.pos, err)
	}
	s := Section{Cid: c, Offset: r.pos + uint64(k), Data: b[k:]}
	r.pos += n
	return s, Check(c, s.Data)
}

// Check tells whether bytes are the block that a CID names.
func Check(c cid.Cid, data []byte) error {
	got, err := c.Prefix().Sum(data)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrHash, c, err)
	}
	if !got.Equals(c) {
		return fmt.Errorf("%w: %s", ErrHash, c)
	}
	return nil
}

// length reads a varint and moves the position past it.
func (r *Reader) length() (uint64, error) {
	n, err := varint.ReadUvarint(r.r)
	if err != nil {
		return 0, err
	}
	r.pos += uint64(varint.UvarintSize(n))
	return n, nil
}

// decodeHeader reads {"roots": [CID…], "version": 1}, keys in any order.
func decodeHeader(b []byte) ([]cid.Cid, error) {
	r := cbg.NewCborReader(bytes.NewReader(b))
	maj, n, err := r.ReadHeader()
	if err != nil {
		return nil, err
	}
	if maj != cbg.MajMap || n != 2 {
		return nil, errors.New("not a map of roots and version")
	}
	var roots []cid.Cid
	var version uint64
	for range n {
		key, err := cbg.ReadStringWithMax(r, 16)
		if err != nil {
			return nil, err
		}
		maj, k, err := r.ReadHeader()
		if err != nil {
			return nil, err
		}
		switch {
		case key == "version" && maj == cbg.MajUnsignedInt:
			version = k
		case key == "roots" && maj == cbg.MajArray && k <= 1024:
			for range k {
				c, err := cbg.ReadCid(r)
				if err != nil {
					return nil, err
				}
				roots = append(roots, c)
			}
		default:
			return nil, fmt.Errorf("unexpected %q", key)
		}
	}
	if version != 1 {
		return nil, fmt.Errorf("version %d", version)
	}
	return roots, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
