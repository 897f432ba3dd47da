package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	fcrypto "github.com/filecoin-project/go-state-types/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/chain/genesis"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/chain/types/sigs"
	"github.com/lodenet/lode/network/host"
	"github.com/lodenet/lode/node"
	"github.com/lodenet/lode/storage/sealing"
)

// Spec says what network to make.
type Spec struct {
	// Network holds the parameters; types.Devnet() is a good start.
	Network types.Network
	// Nodes is how many nodes there are, at least 1. The first Miners of them are storage
	// providers and mine; all others have an account with funds.
	Nodes, Miners int
	// PresealedSectors is how many sectors each miner starts with, at least 1.
	PresealedSectors int
	// Funds is what each node's account starts with, in attoFIL; zero means 1,000,000 FIL.
	Funds abi.TokenAmount
	// Proving says where proving keys are and how providers prove; a network of succinct
	// proofs needs it.
	Proving node.Proving
}

// Key is a private key in the wallet's form.
type Key struct {
	Type    fcrypto.SigType
	Private []byte
	Address address.Address
}

// Member is what a node of a new network is born with.
type Member struct {
	Name string
	// Identity is the file with the key of the peer id.
	Identity string
	// Port is where the node listens on the loopback interface, TCP and QUIC.
	Port int
	// Keys are wallet keys, the default one first.
	Keys []Key
	// Miner is the address of the miner that the node runs, or address.Undef.
	Miner address.Address
	// Preseal is the folder with the miner's pre-sealed sectors, or "".
	Preseal string
}

// Birth is a network that has been made and not started.
type Birth struct {
	Network types.Network
	CAR     []byte
	Members []Member
}

// ErrSpec: the wanted network makes no sense; the text says why.
var ErrSpec = errors.New("devnet")

func (s *Spec) check() error {
	switch {
	case s.Nodes < 1:
		return fmt.Errorf("%w: %d nodes, at least 1 is needed", ErrSpec, s.Nodes)
	case s.Miners < 1 || s.Miners > s.Nodes:
		return fmt.Errorf("%w: %d miners among %d nodes, at least 1 and at most every node can be one", ErrSpec, s.Miners, s.Nodes)
	case s.PresealedSectors < 1:
		return fmt.Errorf("%w: a miner needs a sector to start with", ErrSpec)
	}
	return s.Network.Check()
}

// Create makes keys, seals the miners' first sectors into dir, and makes the genesis. The
// network's epoch 0 is at start, which is asked for once the sealing is done.
func Create(ctx context.Context, dir string, s Spec, start func() time.Time, progress func(step string, done float64)) (*Birth, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := s.makeKeys(ctx, progress); err != nil {
		return nil, err
	}
	if s.Funds.Nil() || s.Funds.IsZero() {
		s.Funds = big.Mul(big.NewInt(1_000_000), types.FilecoinPrecision)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b := &Birth{}
	template := genesis.Template{Network: s.Network}
	ports := map[int]bool{}
	for i := range s.Nodes {
		m, err := s.member(dir, i, ports)
		if err != nil {
			return nil, err
		}
		if i < s.Miners {
			gm, err := s.preseal(ctx, filepath.Join(dir, fmt.Sprintf("preseal-%d", i)), i, m, progress)
			if err != nil {
				return nil, err
			}
			template.Miners = append(template.Miners, gm)
		}
		for _, k := range m.Keys {
			template.Accounts = append(template.Accounts, genesis.Account{Key: k.Address, Balance: s.Funds})
		}
		b.Members = append(b.Members, *m)
	}
	rootKey, err := newKey(fcrypto.SigTypeSecp256k1)
	if err != nil {
		return nil, err
	}
	remainder, err := newKey(fcrypto.SigTypeSecp256k1)
	if err != nil {
		return nil, err
	}
	// The first node keeps both, so that no money of the network is beyond reach.
	b.Members[0].Keys = append(b.Members[0].Keys, rootKey, remainder)
	template.RootKey, template.Remainder = rootKey.Address, remainder.Address
	template.Time = uint64(start().Unix())

	var blocks types.MemBlocks
	header, network, err := genesis.Make(ctx, &blocks, template)
	if err != nil {
		return nil, err
	}
	var car bytes.Buffer
	if err := genesis.WriteCAR(ctx, &blocks, header.Cid(), &car); err != nil {
		return nil, err
	}
	b.Network, b.CAR = network, car.Bytes()
	return b, nil
}

func (s *Spec) member(dir string, i int, ports map[int]bool) (*Member, error) {
	m := &Member{Name: fmt.Sprintf("node-%d", i), Identity: filepath.Join(dir, fmt.Sprintf("identity-%d", i))}
	if _, err := host.Identity(m.Identity); err != nil {
		return nil, err
	}
	port, err := freePort(ports)
	if err != nil {
		return nil, err
	}
	m.Port = port
	// A miner's worker must be a BLS key; elsewhere both kinds serve, and secp256k1 is the
	// usual one of wallets.
	kind := fcrypto.SigTypeSecp256k1
	if i < s.Miners {
		kind = fcrypto.SigTypeBLS
	}
	k, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	m.Keys = append(m.Keys, k)
	return m, nil
}

// preseal seals the first sectors of miner i and describes it for the genesis.
func (s *Spec) preseal(ctx context.Context, dir string, i int, m *Member, progress func(string, float64)) (genesis.Miner, error) {
	m.Miner, m.Preseal = genesis.MinerAddress(i), dir
	id, err := address.IDFromAddress(m.Miner)
	if err != nil {
		return genesis.Miner{}, err
	}
	step := fmt.Sprintf("seal the first %d sectors of %s", s.PresealedSectors, m.Miner)
	sealed, err := sealing.WritePreseal(ctx, dir, abi.ActorID(id), s.Network, s.PresealedSectors, func(done float64) {
		if progress != nil {
			progress(step, done)
		}
	})
	if err != nil {
		return genesis.Miner{}, err
	}
	key, err := host.Identity(m.Identity)
	if err != nil {
		return genesis.Miner{}, err
	}
	pid, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return genesis.Miner{}, err
	}
	out := genesis.Miner{
		Owner: m.Keys[0].Address, Worker: m.Keys[0].Address, PeerID: abi.PeerID(pid),
		// A tenth of the account goes to the miner actor, for pledges and deal collateral.
		Funds: big.Div(s.Funds, big.NewInt(10)),
	}
	for _, text := range listenAddrs(m.Port) {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return genesis.Miner{}, err
		}
		out.Multiaddrs = append(out.Multiaddrs, addr.Bytes())
	}
	for _, sec := range sealed.Sectors {
		out.Sectors = append(out.Sectors, genesis.Sector{Number: sec.Number, SealedCID: sec.CommR})
	}
	return out, nil
}

func newKey(t fcrypto.SigType) (Key, error) {
	private, err := sigs.Generate(t)
	if err != nil {
		return Key{}, err
	}
	a, err := sigs.Address(t, private)
	return Key{t, private, a}, err
}
