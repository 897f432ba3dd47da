package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/market/deal"
	"github.com/lodenet/lode/market/transfer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Run goes on with the deals under way, serves their data and watches active ones until the
// context ends. It waits for everything it started.
func (c *Client) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.takes()()
	ds, err := c.rows.underWay(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	begun := make(map[uuid.UUID]bool) // a deal made just now may be in ds and in started
	begin := func(id uuid.UUID) {
		if !begun[id] {
			begun[id] = true
			all.Go(func() { c.work(ctx, id) })
		}
	}
	served := make(chan error, 1)
	all.Go(func() { served <- transfer.ServeStreams(ctx, c.Host, transfer.Protocol, c.serve, c.Log) })
	all.Go(func() { c.sweep(ctx) })
	for _, d := range ds {
		begin(d.UUID)
	}
	for {
		select {
		case id := <-c.started:
			begin(id)
		case err := <-served:
			if ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// takes says that Run takes the deals that are made from now on; done takes that back.
func (c *Client) takes() (done func()) {
	ended := make(chan struct{})
	c.mu.Lock()
	c.ended = ended
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		c.ended = nil
		c.mu.Unlock()
		close(ended)
	}
}

// hand gives a deal that was made to Run. When none runs, or it ends now, the next finds the row.
func (c *Client) hand(ctx context.Context, id uuid.UUID) {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case c.started <- id:
	case <-ended:
	case <-ctx.Done():
	}
}

// OpenPayload implements transfer.Payloads: the CAR of the deal that has the token, until
// the deal is on chain or has ended.
func (c *Client) OpenPayload(ctx context.Context, token string) (io.ReadSeekCloser, error) {
	ds, err := c.rows.list(ctx, `token=?`, token)
	if err != nil {
		return nil, err
	}
	if token == "" || len(ds) == 0 || ds[0].State.order() > Publishing.order() {
		return nil, transfer.ErrNoPayload
	}
	return c.Files.Open(ctx, ds[0].Root, ds[0].Piece)
}

// given is a step's error that ends the deal; any other is tried again.
type given struct{ error }

func (e given) Unwrap() error { return e.error }

// work brings one deal to activity or to its end.
func (c *Client) work(ctx context.Context, id uuid.UUID) {
	wait := c.cfg.Poll
	for ctx.Err() == nil {
		d, changed, err := c.workOnce(ctx, id)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				c.Log.Error("deal worker", "deal", id, "error", err)
			}
		case d.Next() == None:
			return
		case changed:
			wait = c.cfg.Poll
			if d.Next() != Follow {
				continue
			}
		}
		if err == nil && d.Tries > 0 {
			wait = time.Duration(float64(c.cfg.Poll) * math.Pow(1.5, float64(min(d.Tries, 40)-1)))
		}
		wait = min(wait, c.cfg.MaxPoll)
		_ = clock.Sleep(ctx, c.Clock, time.Duration(float64(wait)*(0.75+rand.Float64()/2)))
		wait = wait * 3 / 2
	}
}

// workOnce does one action; changed says that the deal moved. Errors are of the
// surroundings; what goes wrong with the deal is an event.
func (c *Client) workOnce(ctx context.Context, id uuid.UUID) (d *Deal, changed bool, err error) {
	h, err := c.Chain.Height(ctx)
	if err != nil {
		return nil, false, err
	}
	if d, err = c.rows.get(ctx, id); err != nil {
		return nil, false, err
	}
	if Step(d.Life, Tick{h}).State != d.State {
		// We may have slept over it: the chain knows.
		if e, err := c.search(ctx, d); err != nil {
			return nil, false, err
		} else if e != nil {
			d, err = c.step(ctx, id, e, nil)
			return d, true, err
		}
	}
	if d, err = c.step(ctx, id, Tick{h}, nil); err != nil {
		return nil, false, err
	}
	before := d.Life
	e, change, err := c.do(ctx, d)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	var g given
	switch {
	case errors.As(err, &g):
		e, change = GivenUp{err.Error()}, nil
	case err != nil:
		e, change = Hindered{err.Error()}, nil
	case e == nil:
		return d, false, nil
	}
	if d, err = c.step(ctx, id, e, change); err != nil {
		return nil, false, err
	}
	return d, d.State != before.State || d.Sent != before.Sent || d.Sector != before.Sector || d.Offered != before.Offered, nil
}

// do does a deal's next action and says what happened; nil is nothing new.
func (c *Client) do(ctx context.Context, d *Deal) (Event, func(*Deal), error) {
	switch d.Next() {
	case Fund:
		e, err := c.fund(ctx, d)
		return e, nil, err
	case Sign:
		return c.sign(ctx, d)
	case Propose:
		e, err := c.propose(ctx, d)
		return e, nil, err
	case Follow:
		e, err := c.follow(ctx, d)
		return e, nil, err
	}
	return nil, nil, nil
}

// fund fills the escrow for all deals of the wallet that are under way, so that the pieces
// of one file need one message.
func (c *Client) fund(ctx context.Context, d *Deal) (Event, error) {
	c.funding.Lock()
	defer c.funding.Unlock()
	need, err := c.tagged(ctx, d.Client)
	if err != nil {
		return nil, err
	}
	key, err := c.Chain.KeyAddress(ctx, d.Client)
	if err != nil {
		return nil, err
	}
	if err := c.funds.Ensure(ctx, d.Client, key, need); err != nil {
		return nil, err
	}
	return Funded{}, nil
}

// sign fixes the epochs and the collateral, and signs.
func (c *Client) sign(ctx context.Context, d *Deal) (Event, func(*Deal), error) {
	h, err := c.Chain.Height(ctx)
	if err != nil {
		return nil, nil, err
	}
	d.Start = d.WantStart
	setDefault(&d.Start, h+c.cfg.StartDelay)
	d.End = d.Start + d.Duration
	prop, err := c.proposal(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	key, err := c.Chain.KeyAddress(ctx, d.Client)
	if err != nil {
		return nil, nil, err
	}
	signed, err := deal.Sign(ctx, c.Keys, key, *prop)
	if err != nil {
		return nil, nil, err
	}
	return Signed{d.Start, d.End}, func(d *Deal) { d.signed = signed }, nil
}

// propose offers the deal. A proposal that may have been sent before is asked about first:
// its answer may have been lost, and a provider takes each only once.
func (c *Client) propose(ctx context.Context, d *Deal) (Event, error) {
	c.Host.Peerstore().AddAddrs(d.Peer.ID, d.Peer.Addrs, peerstore.TempAddrTTL)
	if !d.Offered {
		return Offered{}, nil
	}
	st, err := c.Ask(ctx, d)
	if err != nil {
		return nil, err
	}
	if st.DealStatus != nil {
		return Answered{Accepted: true}, nil
	}
	tr, err := c.transfer(d)
	if err != nil {
		return nil, err
	}
	res, err := deal.Propose(ctx, c.Host, d.Peer.ID, &deal.Params{
		DealUUID: d.UUID[:], Transfer: *tr, DealDataRoot: d.Root, ClientDealProposal: *d.signed,
		SkipIPNIAnnounce: d.SkipAnnounce, RemoveUnsealedCopy: d.RemoveUnsealed,
	})
	if err != nil {
		return nil, err
	}
	return Answered{res.Accepted, res.Message}, nil
}

// transfer says where the provider gets the data.
func (c *Client) transfer(d *Deal) (*deal.Transfer, error) {
	tp := deal.TransferParams{Headers: map[string]string{"Authorization": transfer.BasicAuth(d.Token)}}
	kind := "libp2p"
	if d.HTTP {
		kind, tp.URL = "http", c.cfg.HTTPURL
	} else {
		a, err := c.address(d)
		if err != nil {
			return nil, err
		}
		tp.URL = transfer.PeerURL(c.Host.ID(), a)
	}
	b, err := json.Marshal(tp)
	if err != nil {
		return nil, err
	}
	return &deal.Transfer{Size: d.CARSize, Type: kind, Params: b, ClientID: d.UUID.String()}, nil
}

// address is the one of ours that the provider is likeliest to reach: that of the interface
// on which we talk to it, else the first.
func (c *Client) address(d *Deal) (multiaddr.Multiaddr, error) {
	addrs := c.Host.Addrs()
	if len(addrs) == 0 {
		return nil, errors.New("this node listens on no address, so the provider cannot fetch the data: set a listen address")
	}
	for _, conn := range c.Host.Network().ConnsToPeer(d.Peer.ID) {
		ip, err := manet.ToIP(conn.LocalMultiaddr())
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if other, err := manet.ToIP(a); err == nil && other.Equal(ip) {
				return a, nil
			}
		}
	}
	return addrs[0], nil
}

// Ask asks the provider how far a deal is.
func (c *Client) Ask(ctx context.Context, d *Deal) (*deal.StatusResponse, error) {
	key, err := c.Chain.KeyAddress(ctx, d.Client)
	if err != nil {
		return nil, err
	}
	sig, err := c.Keys.Sign(ctx, key, d.UUID[:])
	if err != nil {
		return nil, fmt.Errorf("sign the status request with %s: %w", key, err)
	}
	return deal.QueryStatus(ctx, c.Host, d.Peer.ID, &deal.StatusRequest{DealUUID: d.UUID[:], Signature: *sig})
}
