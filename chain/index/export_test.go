package index

import (
	"context"

	"github.com/lodenet/lode/chain/types"
)

// Sync makes the index cover a head at once.
func (x *Index) Sync(ctx context.Context, head *types.TipSet) error { return x.sync(ctx, head) }
