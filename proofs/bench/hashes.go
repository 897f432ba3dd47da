package bench

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	commphash "github.com/filecoin-project/go-fil-commp-hashhash"
	triplewz "github.com/triplewz/poseidon"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/poseidon"
)

// hashRate measures Poseidon and the pairs of data trees on one core.
func hashRate(ctx context.Context, e Env) ([]Row, error) {
	const arity, many = 8, 256
	in, out := make([]fr.Element, many*arity), make([]fr.Element, many)
	numbers := make([]*big.Int, arity)
	for i := range in {
		in[i].SetBytes(sum(i))
		if i < arity {
			numbers[i] = in[i].BigInt(new(big.Int))
		}
	}
	constants, err := triplewz.GenPoseidonConstants[*fr.Element](arity + 1)
	if err != nil {
		return nil, fmt.Errorf("constants of triplewz/poseidon: %w", err)
	}
	hash := func(arity int) task {
		return task{many, func() error {
			poseidon.Arity(arity).HashMany(out, in[:many*arity])
			return nil
		}}
	}
	peer := task{1, func() error {
		_, err := triplewz.Hash(numbers, constants, triplewz.OptimizedStatic)
		return err
	}}
	rates, err := e.compare(ctx, hash(8), hash(2), peer)
	if err != nil {
		return nil, err
	}
	eight := Row{Name: "Poseidon arity 8", Rate: rates[0], Unit: "hashes/s", Cores: 1}.
		against("triplewz/poseidon, one core", rates[2], 2)
	two := Row{Name: "Poseidon arity 2", Rate: rates[1], Unit: "hashes/s", Cores: 1}

	nodes, up := make([]merkle.Node, 1<<12), make([]merkle.Node, 1<<11)
	pairs := task{float64(len(up)), func() error { return merkle.HashPairs(up, nodes) }}
	var pair [2 * fr32.NodeBytes]byte
	single := task{float64(len(up)), func() error {
		for range up {
			pair[0] = sha256.Sum256(pair[:])[0]
		}
		return nil
	}}
	if rates, err = e.compare(ctx, pairs, single); err != nil {
		return nil, err
	}
	data := Row{Name: "SHA-256 node pairs", Rate: rates[0], Unit: "hashes/s", Cores: 1}
	return []Row{eight, two, data.against("crypto/sha256, one core", rates[1], 0)}, nil
}

// sum is some bytes that differ from number to number.
func sum(i int) []byte {
	h := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	return h[:]
}

// pieceRate measures CommP of a piece as long as a sector's data, or as much of it as shows
// the rate.
func pieceRate(ctx context.Context, e Env) ([]Row, error) {
	size, err := e.Proof.SectorSize()
	if err != nil {
		return nil, err
	}
	payload := make([]byte, min(uint64(size), 64<<20)/fr32.Padded*fr32.Unpadded)
	for i := 0; i < len(payload); i += sha256.Size {
		copy(payload[i:], sum(i/sha256.Size))
	}
	var ours, theirs fr32.Node
	own := task{float64(len(payload)), func() error {
		w := commp.New()
		_, _ = w.Write(payload) // takes all
		c, _, err := w.Sum()
		if err != nil {
			return err
		}
		ours, err = commitment.Unsealed(c)
		return err
	}}
	peer := task{float64(len(payload)), func() error {
		w := new(commphash.Calc)
		if _, err := w.Write(payload); err != nil {
			return err
		}
		d, _, err := w.Digest()
		copy(theirs[:], d)
		return err
	}}
	rates, err := e.compare(ctx, own, peer)
	if err != nil {
		return nil, err
	}
	if ours != theirs {
		return nil, fmt.Errorf("CommP is %x, and %x by go-fil-commp-hashhash", ours, theirs)
	}
	row := Row{Name: "CommP", Rate: rates[0], Unit: "B/s", Cores: allCores()}
	return []Row{row.against("go-fil-commp-hashhash, as many cores", rates[1], 2)}, nil
}
