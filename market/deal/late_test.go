package deal_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/network/host/hosttest"
)

// TestAnsweredAndClosed: a provider that answered and closed the stream before we closed our
// half, as one does when our machine is busy, gave its answer all the same.
func TestAnsweredAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := hosttest.Simulated(t, 2, 50*time.Millisecond)
		hosttest.Listen(t, hosts...)
		hosttest.Connect(t, hosts[0], hosts[1])
		a := someProposal().Proposal.Provider
		ask := someMessages()["Ask"].(*deal.AskResponse)
		hosts[1].SetStreamHandler(deal.ProtocolAsk, func(s network.Stream) {
			err := deal.Answer(t.Context(), s, func(context.Context, peer.ID, *deal.AskRequest) cbg.CBORMarshaler { return ask }, nil)
			if err != nil {
				t.Error(err)
			}
		})
		got, err := deal.QueryAsk(t.Context(), hosttest.Late{Host: hosts[0]}, hosts[1].ID(), &deal.AskRequest{Miner: a})
		if err != nil || got.Ask.Ask.SeqNo != ask.Ask.Ask.SeqNo {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
