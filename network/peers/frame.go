package peers

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	cbg "github.com/whyrusleeping/cbor-gen"
)

// frame collects the fields of a CBOR tuple; the first error stays.
type frame struct {
	buf bytes.Buffer
	err error
}

func (f *frame) header(major byte, n uint64) {
	if f.err == nil {
		f.err = cbg.NewCborWriter(&f.buf).WriteMajorTypeHeader(major, n)
	}
}

// text cuts what is too long, between characters.
func (f *frame) text(s string, most int) {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	f.header(cbg.MajTextString, uint64(len(s)))
	f.buf.WriteString(s)
}

func (f *frame) bytes() ([]byte, error) { return f.buf.Bytes(), f.err }

// frameReader reads the fields of a tuple; after the first error, which stays, they are
// zero.
type frameReader struct {
	r   *cbg.CborReader
	err error
}

// header reads a value of a major type that is at most so large.
func (f *frameReader) header(want byte, most uint64) uint64 {
	if f.err != nil {
		return 0
	}
	switch maj, n, err := f.r.ReadHeader(); {
	case err != nil:
		f.err = fmt.Errorf("%w: %w", errFrame, err)
	case maj != want || n > most:
		f.err = fmt.Errorf("%w: type %d, value %d", errFrame, maj, n)
	default:
		return n
	}
	return 0
}

func (f *frameReader) text(most uint64) string {
	n := f.header(cbg.MajTextString, most)
	if f.err != nil {
		return ""
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f.r, b); err != nil {
		f.err = fmt.Errorf("%w: %w", errFrame, err)
		return ""
	}
	if !utf8.Valid(b) {
		f.err = fmt.Errorf("%w: a text that is none", errFrame)
		return ""
	}
	return string(b)
}
