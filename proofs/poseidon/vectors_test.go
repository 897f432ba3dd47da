package poseidon

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/vectors"
)

type file struct {
	RoundParameters struct {
		ByWidth map[string]struct {
			Arity  int      `json:"arity"`
			RF     int      `json:"R_F"`
			RP     int      `json:"R_P"`
			Total  int      `json:"round_constants_total"`
			First  []string `json:"first3"`
			Last   string   `json:"last"`
			SHA256 string   `json:"sha256_of_all_constants_le"`
			MDS    string   `json:"mds_0_0"`
			MDSEnd string   `json:"mds_last_last"`
		} `json:"by_width"`
	} `json:"round_parameters"`
	Neptune struct {
		Vectors []struct {
			Arity    int          `json:"arity"`
			HashType string       `json:"hash_type"`
			Strength string       `json:"strength"`
			Digest   vectors.Node `json:"digest_le_hex"`
		} `json:"vectors"`
	} `json:"neptune_hash_values"`
	MD struct {
		Digest vectors.Node `json:"digest_le_hex"`
	} `json:"hash_md_36"`
	Single []struct {
		Arity  int            `json:"arity"`
		Inputs []vectors.Node `json:"inputs_le_hex"`
		Digest vectors.Node   `json:"digest_le_hex"`
	} `json:"single_hashes"`
}

func TestVectorsPoseidon(t *testing.T) {
	var f file
	set := vectors.Load(t, "poseidon.json", &f)

	for width, v := range f.RoundParameters.ByWidth {
		set.Run(t, "constants/"+width, func(t *testing.T) {
			p := Arity(v.Arity)
			if strconv.Itoa(p.width) != width || v.RF != fullRounds || p.PartialRounds() != v.RP || len(p.Constants()) != v.Total {
				t.Fatalf("got width %d, %d partial rounds, %d constants", p.width, p.PartialRounds(), len(p.Constants()))
			}
			h := sha256.New()
			for _, c := range p.Constants() {
				n := fr32.Bytes(&c)
				h.Write(n[:])
			}
			if got := fmt.Sprintf("%x", h.Sum(nil)); got != v.SHA256 {
				t.Errorf("constants: got digest %s, want %s", got, v.SHA256)
			}
			for i, want := range append(v.First, v.Last) {
				at := i
				if i == len(v.First) {
					at = v.Total - 1
				}
				if p.Constants()[at] != number(t, want) {
					t.Errorf("constant %d differs", at)
				}
			}
			if p.MDS(0, 0) != number(t, v.MDS) || p.MDS(v.Arity, v.Arity) != number(t, v.MDSEnd) {
				t.Error("the mixing matrix differs")
			}
		})
	}

	for _, v := range f.Neptune.Vectors {
		set.Run(t, fmt.Sprintf("neptune/%d-%s-%s", v.Arity, v.HashType, v.Strength), func(t *testing.T) {
			s := Standard
			if v.Strength == "strengthened" {
				s = Strengthened
			}
			p, err := New(v.Arity, s)
			if err != nil {
				t.Fatal(err)
			}
			var got fr.Element
			if v.HashType == "MerkleTree" {
				got = p.Hash(counting(v.Arity))
			} else {
				got = constantLength(p, counting(4))
			}
			check(t, got, v.Digest)
		})
	}

	set.Run(t, "merkle-damgard", func(t *testing.T) {
		p, err := New(36, Standard)
		if err != nil {
			t.Fatal(err)
		}
		in := make([]fr.Element, 71)
		for i := range in {
			in[i].SetOne()
		}
		first := p.Hash(in[:36])
		check(t, p.Hash(append([]fr.Element{first}, in[36:]...)), f.MD.Digest)
	})

	for i, v := range f.Single {
		set.Run(t, fmt.Sprintf("single/%d", i), func(t *testing.T) {
			in := make([]fr.Element, len(v.Inputs))
			for i, n := range v.Inputs {
				e, err := fr32.Element((*fr32.Node)(&n))
				if err != nil {
					t.Fatal(err)
				}
				in[i] = e
			}
			check(t, Arity(v.Arity).Hash(in), v.Digest)
		})
	}
}

// The challenges of sector updates are hashes under a tag of their own, so they tell whether
// other tags work; nothing else of updates is here (spec: proofs 10).
func TestVectorsUpdateChallenges(t *testing.T) {
	var f struct {
		Update struct {
			CommR   vectors.Node `json:"comm_r_new_le_hex"`
			Vectors []struct {
				Nodes     uint64   `json:"sector_nodes"`
				Partition uint64   `json:"partition"`
				First     []uint64 `json:"first_5_challenges"`
			} `json:"vectors"`
		} `json:"empty_sector_update"`
	}
	set := vectors.Load(t, "challenges.json", &f)
	commR, err := fr32.Element((*fr32.Node)(&f.Update.CommR))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range f.Update.Vectors {
		set.Run(t, fmt.Sprintf("update/%d-%d", v.Nodes, v.Partition), func(t *testing.T) {
			partitions, count := uint64(16), uint64(86)
			switch {
			case v.Nodes <= 8<<10/32:
				partitions, count = 1, 10
			case v.Nodes <= 32<<10/32:
				partitions, count = 2, 10
			case v.Nodes <= 16<<20/32:
				partitions, count = 4, 10
			}
			width := uint64(bits.Len64(v.Nodes/partitions) - 1)
			each := 254 / width
			digests := (count + each - 1) / each
			for i, want := range v.First {
				var tag, number fr.Element
				tag.SetUint64(1 << 40)
				number.SetUint64(v.Partition*digests + uint64(i)/each)
				h := Arity(2).HashTagged(tag, []fr.Element{commR, number})
				var n big.Int
				h.BigInt(&n)
				n.Rsh(&n, uint(uint64(i)%each*width))
				got := n.Uint64()&(1<<width-1) | v.Partition<<width
				if got != want {
					t.Errorf("challenge %d: got %d, want %d", i, got, want)
				}
			}
		})
	}
}

// constantLength hashes a fixed number of inputs, unused ones being zero; more than the
// arity are absorbed in turns.
func constantLength(p *Params, in []fr.Element) fr.Element {
	s := make([]fr.Element, p.width)
	s[0].SetBigInt(new(big.Int).Lsh(big.NewInt(int64(len(in))), 64))
	for len(in) > 0 {
		n := min(len(in), p.arity)
		for i := range n {
			s[1+i].Add(&s[1+i], &in[i])
		}
		in = in[n:]
		p.permute(s)
	}
	return s[1]
}

func counting(n int) []fr.Element {
	e := make([]fr.Element, n)
	for i := range e {
		e[i].SetUint64(uint64(i))
	}
	return e
}

func number(t *testing.T, hex string) (e fr.Element) {
	t.Helper()
	n, ok := new(big.Int).SetString(strings.TrimPrefix(hex, "0x"), 16)
	if !ok {
		t.Fatalf("%q is no number", hex)
	}
	e.SetBigInt(n)
	return e
}

func check(t *testing.T, got fr.Element, want vectors.Node) {
	t.Helper()
	if n := fr32.Bytes(&got); n != fr32.Node(want) {
		t.Errorf("got %x, want %x", n, want)
	}
}
