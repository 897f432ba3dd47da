package api

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// P2P carries TCP connections to services of other peers, as Kubo's ipfs p2p does.
type P2P interface {
	// P2PListen offers a service of this machine to peers.
	//
	//perm:admin
	P2PListen(ctx context.Context, offer *P2POffer) error
	// P2PForward opens a local port whose connections go to a peer's service, and tells where it listens.
	//
	//perm:admin
	P2PForward(ctx context.Context, forward *P2PForwarding) (string, error)
	// P2PHold keeps an ephemeral listener (kind listen and its protocol, or forward and its listen address) for as long as the caller receives; it sends "held" at once and "closed" when somebody closes the listener.
	//
	//perm:admin
	P2PHold(ctx context.Context, kind, name string) (<-chan string, error)
	// P2PList lists the services offered and the ports forwarded.
	//
	//perm:read
	P2PList(ctx context.Context) ([]P2PListener, error)
	// P2PClose closes all listeners that fit and tells how many.
	//
	//perm:admin
	P2PClose(ctx context.Context, match P2PMatch) (int, error)
	// P2PStreams lists the connections that are carried.
	//
	//perm:read
	P2PStreams(ctx context.Context) ([]P2PStream, error)
	// P2PStreamClose breaks one connection.
	//
	//perm:admin
	P2PStreamClose(ctx context.Context, id uint64) error
	// P2PStreamCloseAll breaks all connections and tells how many.
	//
	//perm:admin
	P2PStreamCloseAll(ctx context.Context) (int, error)
	// P2PStats counts what tunnels have done since the start.
	//
	//perm:read
	P2PStats(ctx context.Context) (*P2PStats, error)
}

// P2POffer is a service to offer.
type P2POffer struct {
	Protocol string
	Target   string // multiaddr, or host:port
	// Allow are the peers that may use it, AllowAny lets everyone; with neither nobody may.
	Allow               []peer.ID
	AllowAny            bool
	ReportPeerID        bool // the peer's id and a newline come first
	AllowCustomProtocol bool // names outside /x/
	Ephemeral           bool // does not survive the node
}

// P2PForwarding is a port to forward.
type P2PForwarding struct {
	Protocol            string
	Listen              string // multiaddr, or host:port; port 0 takes a free one
	Target              string // peer id, /p2p/ID, an address that ends so, or a DNS address
	AllowCustomProtocol bool
	Ephemeral           bool
}

// P2PListener is a service offered or a port forwarded. The first three fields are Kubo's.
type P2PListener struct {
	Protocol      string
	ListenAddress string
	TargetAddress string
	Kind          string // listen, forward
	Allow         []peer.ID
	AllowAny      bool
	ReportPeerID  bool
	Ephemeral     bool
	Declared      bool // comes from the settings
	Streams       int
	Problem       string // why the port is not open
}

// P2PMatch selects listeners: all that fit every field that is not empty, or All.
type P2PMatch struct {
	Protocol      string
	ListenAddress string
	TargetAddress string
	All           bool
	Streams       bool // break their connections too
}

// P2PStream is a connection that is carried. The first four fields are Kubo's.
type P2PStream struct {
	HandlerID     string
	Protocol      string
	OriginAddress string
	TargetAddress string
	Kind          string
	Opened        time.Time
	BytesIn       uint64 // from the peer
	BytesOut      uint64 // to the peer
	SettingUp     bool
}

// P2PStats are counters.
type P2PStats struct {
	Open      int
	Opened    uint64
	BytesIn   uint64
	BytesOut  uint64
	SetupTime time.Duration    // of all together
	Setup     []P2PSetup       // by how long it took
	Ends      map[string]int64 // by reason, refused ones included
}

// P2PSetup counts set-ups that took at most a time; zero is the rest.
type P2PSetup struct {
	Within time.Duration
	Count  uint64
}
