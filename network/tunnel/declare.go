package tunnel

import (
	"context"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Words of a declaration besides addresses and peers.
const (
	wordAny    = "any"
	wordReport = "report-peer-id"
)

// DeclaredOffer reads an offer as settings write it: protocol, target, then the peers that
// may use it or any, and report-peer-id if wanted, separated by spaces.
func DeclaredOffer(line string) (Offer, error) {
	words := strings.Fields(line)
	if len(words) < 3 {
		return Offer{}, fmt.Errorf("tunnel %q: want a protocol, a target and the peers that may use it, or any", line)
	}
	o := Offer{Protocol: protocol.ID(words[0]), Target: words[1], Custom: true}
	for _, w := range words[2:] {
		switch w {
		case wordAny:
			o.AllowAny = true
		case wordReport:
			o.ReportPeerID = true
		default:
			id, err := peer.Decode(w)
			if err != nil {
				return Offer{}, fmt.Errorf("tunnel %q: %q is no peer id, nor %s or %s: %w", line, w, wordAny, wordReport, err)
			}
			o.Allow = append(o.Allow, id)
		}
	}
	_, err := newOffer(o, true)
	return o, err
}

// DeclaredForward reads a forward as settings write it: protocol, address to listen on and
// peer, see ParsePeer; names are not resolved.
func DeclaredForward(ctx context.Context, line string) (Forward, error) {
	words := strings.Fields(line)
	if len(words) != 3 {
		return Forward{}, fmt.Errorf("tunnel %q: want a protocol, an address to listen on and a peer", line)
	}
	info, err := ParsePeer(ctx, nil, words[2])
	if err != nil {
		return Forward{}, err
	}
	f := Forward{Protocol: protocol.ID(words[0]), Listen: words[1], Peer: info, Custom: true}
	_, err = newForward(f, true)
	return f, err
}
