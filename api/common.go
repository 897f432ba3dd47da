package api

import (
	"context"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Common is what every process of a network answers to.
type Common interface {
	// Version tells what runs.
	//
	//perm:read
	Version(ctx context.Context) (Version, error)
	// ID is the node's identity on the network.
	//
	//perm:read
	ID(ctx context.Context) (peer.ID, error)
	// Session is made anew at each start of the node.
	//
	//perm:read
	Session(ctx context.Context) (uuid.UUID, error)
	// StartTime is when the node started.
	//
	//perm:read
	StartTime(ctx context.Context) (time.Time, error)
	// NodeStatus sums up health; the chain part is filled in when asked for.
	//
	//perm:read
	NodeStatus(ctx context.Context, inclChain bool) (NodeStatus, error)
	// Shutdown asks the node to stop and returns before it has.
	//
	//perm:admin
	Shutdown(ctx context.Context) error
	// AuthNew makes a token with these permissions.
	//
	//perm:admin
	AuthNew(ctx context.Context, perms []Permission) ([]byte, error)
	// AuthVerify tells what a token allows.
	//
	//perm:read
	AuthVerify(ctx context.Context, token string) ([]Permission, error)
}

// Version describes a node's program.
type Version struct {
	Version    string // of lode
	APIVersion uint32 // three bytes: major, minor, patch
	BlockDelay uint64 // seconds per epoch
	Agent      string
	// Network is the network's name, Proofs its proof system (lode's own).
	Network string
	Proofs  string
}

// APIVersion is the version of the methods served, 2.3.0.
const APIVersion uint32 = 2<<16 | 3<<8

// NodeStatus is a node's health.
type NodeStatus struct {
	SyncStatus  NodeSyncStatus
	PeerStatus  NodePeerStatus
	ChainStatus NodeChainStatus
	// Healthy and Reason are lode's own: whether the node follows its network, and why not.
	Healthy bool
	Reason  string
}

// NodeSyncStatus tells how far behind the clock the head is.
type NodeSyncStatus struct {
	Epoch  uint64 // of the head
	Behind uint64 // epochs between the head and now
}

// NodePeerStatus counts peers.
type NodePeerStatus struct {
	PeersToPublishMsgs   int
	PeersToPublishBlocks int
}

// NodeChainStatus tells how full the chain is.
type NodeChainStatus struct {
	BlocksPerTipsetLast100      float64
	BlocksPerTipsetLastFinality float64
	BaseFee                     abi.TokenAmount // of the head, attoFIL per gas unit (lode's own)
}
