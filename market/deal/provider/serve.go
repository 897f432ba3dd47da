package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/network/host"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// maxStreams is how many requests are served at a time; more are refused by reset.
const maxStreams = 64

// Run takes up the deals that are under way and serves the protocols until the context
// ends. It waits for everything it started.
func (p *Provider) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// From here on an accepted deal is handed over; one that is in the rows as well is not
	// begun twice.
	p.setRunning(true)
	defer p.setRunning(false)
	live, err := p.rows.live(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := p.sweepStaging(live); err != nil {
		p.Log.Warn("data of deals that have ended may be left; remove it by hand", "error", err)
	}
	begun := make(map[uuid.UUID]bool)
	begin := func(id uuid.UUID) {
		if !begun[id] {
			begun[id] = true
			all.Go(func() { p.work(ctx, id) })
		}
	}
	for _, d := range live {
		begin(d.UUID)
	}
	all.Go(func() { p.runPublisher(ctx) })
	all.Go(func() { p.forget(ctx) })
	defer p.handle(ctx)()
	for {
		select {
		case id := <-p.started:
			begin(id)
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *Provider) setRunning(on bool) {
	p.mu.Lock()
	p.running = on
	p.mu.Unlock()
}

// start hands an accepted deal to Run. When nothing runs, the next Run finds the row.
func (p *Provider) start(ctx context.Context, id uuid.UUID) {
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if !running {
		return
	}
	select {
	case p.started <- id:
	case <-ctx.Done(): // Run is ending; the row is there
	}
}

// handle serves the protocols; the function returned takes them back.
func (p *Provider) handle(ctx context.Context) func() {
	serve := func(answer func(network.Stream) error) network.StreamHandler {
		return func(s network.Stream) {
			if err := answer(s); err != nil {
				p.Log.Debug("deal stream", "peer", s.Conn().RemotePeer(), "protocol", s.Protocol(), "error", err)
			}
		}
	}
	proposals := serve(func(s network.Stream) error { return deal.Answer(ctx, s, p.answerDeal, badDeal) })
	return host.Serve(p.Host, maxStreams, map[protocol.ID]network.StreamHandler{
		deal.ProtocolAsk:     serve(func(s network.Stream) error { return deal.Answer(ctx, s, p.answerAsk, nil) }),
		deal.ProtocolStatus:  serve(func(s network.Stream) error { return deal.Answer(ctx, s, p.answerStatus, nil) }),
		deal.ProtocolDeal121: proposals,
		deal.ProtocolDeal120: proposals,
	})
}

func badDeal(err error) cbg.CBORMarshaler {
	return &deal.Response{Message: "failed validation: the proposal cannot be read: " + err.Error()}
}

func (p *Provider) answerDeal(ctx context.Context, from peer.ID, m *deal.Params) cbg.CBORMarshaler {
	err := p.accept(ctx, from.String(), m)
	var rej deal.Rejection
	switch {
	case err == nil:
		return &deal.Response{Accepted: true}
	case errors.As(err, &rej):
		p.Log.Info("proposal rejected", "peer", from, "reason", rej.Error())
		return &deal.Response{Message: "failed validation: " + rej.Error()}
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return nil // stopping is no refusal
	}
	p.Log.Warn("proposal refused", "peer", from, "error", err)
	return &deal.Response{Message: err.Error()}
}

func (p *Provider) answerAsk(ctx context.Context, from peer.ID, m *deal.AskRequest) cbg.CBORMarshaler {
	if !p.isUs(ctx, m.Miner) {
		return &deal.AskResponse{}
	}
	ask, err := p.Ask(ctx)
	if err != nil {
		p.Log.Warn("ask", "peer", from, "error", err)
		return &deal.AskResponse{}
	}
	return &deal.AskResponse{Ask: ask}
}

func (p *Provider) isUs(ctx context.Context, a address.Address) bool {
	if a == p.cfg.Miner {
		return true
	}
	us, err := p.Chain.LookupID(ctx, p.cfg.Miner)
	if err != nil {
		return false
	}
	them, err := p.Chain.LookupID(ctx, a)
	return err == nil && us == them
}

func (p *Provider) answerStatus(ctx context.Context, _ peer.ID, m *deal.StatusRequest) cbg.CBORMarshaler {
	res := &deal.StatusResponse{DealUUID: m.DealUUID}
	fail := func(err error) cbg.CBORMarshaler {
		res.Error = err.Error()
		return res
	}
	id, err := deal.ID(m.DealUUID)
	if err != nil {
		return fail(err)
	}
	d, err := p.rows.get(ctx, id)
	if err != nil {
		return fail(err)
	}
	key, err := p.Chain.KeyAddress(ctx, d.Signed.Proposal.Client)
	if err != nil {
		return fail(err)
	}
	if sigs.Verify(&m.Signature, key, m.DealUUID) != nil {
		return fail(errors.New("signature verification failed"))
	}
	st := &deal.Status{
		Error: d.Error, Status: string(d.State), Proposal: d.Signed.Proposal,
		ChainDealID: d.DealID, SealingStatus: d.Sector, SignedProposalCid: d.SignedCID,
	}
	if d.Message.Defined() {
		st.PublishCid = &d.Message
	}
	res.IsOffline, res.TransferSize, res.NBytesReceived, res.DealStatus = d.Offline, d.Transfer.Size, d.Received, st
	return res
}

// Import gives the data of an offline deal. The file is copied; whether it is the piece
// shows afterwards in the deal's state.
func (p *Provider) Import(ctx context.Context, id uuid.UUID, path string) error {
	if !p.beginImport(id) {
		return fmt.Errorf("deal %s: its data is being imported already", id)
	}
	defer p.endImport(id)
	d, err := p.rows.get(ctx, id)
	if err != nil {
		return err
	}
	// What was given before may be under check, and must stay what it is.
	if !d.Offline || d.State != deal.Accepted || d.Imported {
		return fmt.Errorf("deal %s is %s and its data is not awaited by import", id, d.State)
	}
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer in.Close()
	if err := os.MkdirAll(p.cfg.Staging, 0o700); err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	tmp := p.staged(d) + importing
	defer os.Remove(tmp)
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	_, err = io.Copy(out, readerCtx{ctx, in})
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("import %s: %w", path, err)
	}
	if err := os.Rename(tmp, p.staged(d)); err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	if d, err = p.step(ctx, id, Imported{}); err != nil {
		return err
	}
	if d.State == deal.Complete { // it ended while the data was copied, and nobody else removes it
		return errors.Join(fmt.Errorf("deal %s has ended: %s", id, d.Error), p.dropStaged(d))
	}
	p.wake(id)
	return nil
}

// beginImport tells whether no import of the deal's data is under way, and notes that one is now.
func (p *Provider) beginImport(id uuid.UUID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.imports[id] {
		return false
	}
	p.imports[id] = true
	return true
}

func (p *Provider) endImport(id uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.imports, id)
}
