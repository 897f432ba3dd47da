package api

import (
	"context"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/lodenet/lode/chain/types"
)

// Net looks at and changes the connections to peers.
type Net interface {
	// NetPeers lists connected peers.
	//
	//perm:read
	NetPeers(ctx context.Context) ([]peer.AddrInfo, error)
	// NetAddrsListen is where the node listens.
	//
	//perm:read
	NetAddrsListen(ctx context.Context) (peer.AddrInfo, error)
	// NetConnect connects to a peer.
	//
	//perm:write
	NetConnect(ctx context.Context, to peer.AddrInfo) error
	// NetDisconnect closes all connections to a peer.
	//
	//perm:write
	NetDisconnect(ctx context.Context, id peer.ID) error
	// NetAgentVersion is the program that a peer says it runs.
	//
	//perm:read
	NetAgentVersion(ctx context.Context, id peer.ID) (string, error)
}

// Sync tells how the node follows the chain.
type Sync interface {
	// SyncState is what each worker does.
	//
	//perm:read
	SyncState(ctx context.Context) (*SyncState, error)
}

// SyncStage is how far a worker is.
type SyncStage int

// The stages.
const (
	StageIdle SyncStage = iota
	StageHeaders
	StagePersistHeaders
	StageMessages
	StageComplete
	StageError
	StageFetchingMessages
)

// String names the stage.
func (s SyncStage) String() string {
	names := [...]string{"idle", "header sync", "persisting headers", "message sync", "complete", "error", "fetching messages"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// SyncState is the work of the syncer.
type SyncState struct {
	ActiveSyncs []ActiveSync
	VMApplied   uint64 // tipsets executed since the start
}

// ActiveSync is one way from a base to a target.
type ActiveSync struct {
	WorkerID uint64
	Base     *types.TipSet
	Target   *types.TipSet
	Stage    SyncStage
	Height   abi.ChainEpoch
	Start    time.Time
	End      time.Time
	Message  string
}
