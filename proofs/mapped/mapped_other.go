//go:build !unix

package mapped

import (
	"errors"
	"os"
)

// Memory is a mapped file, to be read. There is none here.
type Memory struct{}

// Map is errors.ErrUnsupported.
func Map(*os.File, int64) (*Memory, error) { return nil, errors.ErrUnsupported }

// Bytes is nothing.
func (*Memory) Bytes() []byte { return nil }

// Close does nothing.
func (*Memory) Close() error { return nil }
