package node

import (
	"errors"

	"github.com/filecoin-project/go-state-types/exitcode"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/mpool"
)

// gasAPI estimates what messages cost.
type gasAPI struct{ n *Node }

// callError gives the failure of a trial run the code under which clients know it.
func callError(err error) error {
	var c *mpool.CallError
	switch {
	case !errors.As(err, &c):
		return coded(err)
	case c.Code == exitcode.SysErrOutOfGas:
		return api.ErrOutOfGas.With("%v", err)
	}
	return api.ErrReverted.With("%v", err)
}
