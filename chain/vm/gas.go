package vm

import (
	"github.com/filecoin-project/go-state-types/network"
)

// MessageGas is the gas that carrying a message of a chain length costs (d.3): the least
// gas limit that a block may include it with.
func MessageGas(chainLength int, nv network.Version) int64 {
	perByte := int64(1300)
	if nv < network.Version7 {
		perByte = 1000
	}
	return 38863 + (36+int64(chainLength))*perByte
}
