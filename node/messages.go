package node

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/index"
	"github.com/lodenet/lode/chain/mpool"
	"github.com/lodenet/lode/chain/outbox"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/storage/sealing"
)

var (
	_ sealing.Messages = (*outbox.Outbox)(nil)
	_ deal.Outbox      = (*outbox.Outbox)(nil)
)

// buildMessages makes the pool of the network's messages and the outbox of our own.
func (n *Node) buildMessages(ctx context.Context) (err error) {
	for _, migrate := range []func(context.Context, *sql.DB) error{mpool.Migrate, index.Migrate, outbox.Migrate} {
		if err := migrate(ctx, n.db); err != nil {
			return err
		}
	}
	n.pool = mpool.New(n.db, n.store, n.engine, n.publishMessage, n.clk, n.log, mpool.Options{})
	n.index = index.New(n.db, n.store, n.log)
	n.outbox = outbox.New(n.db, n.pool, n.store, n.index, n.keys, n.log, outbox.Options{})
	return nil
}

// publishMessage gives a message of ours to gossip.
func (n *Node) publishMessage(ctx context.Context, m *types.SignedMessage) error {
	raw, err := m.Serialize()
	if err != nil {
		return err
	}
	return n.gossip.PublishMessage(ctx, raw)
}

// send sends one message of a user's and returns its CID, which a raised fee may change.
func (n *Node) send(ctx context.Context, in outbox.Intent) (cid.Cid, error) {
	id, err := n.outbox.Send(ctx, in)
	if err != nil {
		return cid.Undef, err
	}
	st, err := n.outbox.Status(ctx, id)
	if err != nil {
		return cid.Undef, err
	}
	if len(st.Signed) == 0 {
		return cid.Undef, fmt.Errorf("message is recorded and not signed yet: %s", st.Problem)
	}
	return st.Signed[len(st.Signed)-1].Cid(), nil
}
