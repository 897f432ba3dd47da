package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

func parseAddress(s string) (address.Address, error) {
	a, err := address.NewFromString(s)
	if err == nil && a == address.Undef {
		err = fmt.Errorf("it is empty")
	}
	if err != nil {
		return a, usagef("%q is not an address: %w", s, err)
	}
	return a, nil
}

// optionalAddress reads an address that may be left out.
func optionalAddress(s string) (address.Address, error) {
	if s == "" {
		return address.Undef, nil
	}
	return parseAddress(s)
}

func parseCid(s string) (cid.Cid, error) {
	c, err := cid.Decode(s)
	if err != nil {
		return c, usagef("%q is not a CID: %w", s, err)
	}
	return c, nil
}

func parseUUID(s string) (uuid.UUID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return u, usagef("%q is not a deal's id: %w", s, err)
	}
	return u, nil
}

// parseAmount reads an amount of money; empty is zero.
func parseAmount(s string) (abi.TokenAmount, error) {
	if s == "" {
		return big.Zero(), nil
	}
	f, err := types.ParseFIL(s)
	if err != nil {
		return big.Int{}, &usageError{err}
	}
	if f.Sign() < 0 {
		return big.Int{}, usagef("amount %s is negative", s)
	}
	return abi.TokenAmount(f), nil
}

func parseSector(s string) (abi.SectorNumber, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, usagef("%q is not a sector number", s)
	}
	return abi.SectorNumber(n), nil
}

// parsePeers reads multiaddrs that end with /p2p/ID.
func parsePeers(args []string) ([]peer.AddrInfo, error) {
	addrs := make([]ma.Multiaddr, len(args))
	for i, s := range args {
		m, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, usagef("%q is not a multiaddr such as /ip4/1.2.3.4/tcp/4001/p2p/12D3Koo…: %w", s, err)
		}
		addrs[i] = m
	}
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil, usagef("a peer's address ends with /p2p/ and its id: %w", err)
	}
	return infos, nil
}

func parsePeerID(s string) (peer.ID, error) {
	id, err := peer.Decode(s)
	if err != nil {
		return id, usagef("%q is not a peer id: %w", s, err)
	}
	return id, nil
}

// sender is the address named, or the wallet's default.
func sender(ctx context.Context, n api.Wallet, named string) (address.Address, error) {
	if named != "" {
		return parseAddress(named)
	}
	a, err := n.WalletDefaultAddress(ctx)
	if err != nil {
		return a, fmt.Errorf("which address pays? name one with --from, or set one with lode wallet default: %w", err)
	}
	return a, nil
}
