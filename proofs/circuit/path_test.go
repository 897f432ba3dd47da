package circuit

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/frontend"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/poseidon"
)

func randomNodes(n int) []merkle.Node {
	random := rand.NewChaCha8([32]byte{byte(n)})
	nodes := make([]merkle.Node, n)
	for i := range nodes {
		_, _ = random.Read(nodes[i][:])
		fr32.Trim(&nodes[i])
	}
	return nodes
}

func hashGadget(t testing.TB, arity int) func(in []fr.Element, out fr.Element) bool {
	cs := newGadget(t, arity, 1, func(api frontend.API, in, public []frontend.Variable) {
		api.AssertIsEqual(hash(api, in), public[0])
	})
	return func(in []fr.Element, out fr.Element) bool {
		return solved(cs, values(t, in, []fr.Element{out}))
	}
}

func TestPoseidon(t *testing.T) {
	for _, arity := range []int{2, 4, 8, 11} {
		holds := hashGadget(t, arity)
		minus := fr.One()
		minus.Neg(&minus)
		for k := range 4 {
			in := make([]fr.Element, arity)
			for i, n := range randomNodes(arity) {
				in[i] = []fr.Element{elementOf(t, n), {}, minus, fr.NewElement(uint64(i))}[k]
			}
			out := poseidon.Arity(arity).Hash(in)
			if !holds(in, out) {
				t.Errorf("arity %d: the hash of %v does not hold", arity, in)
			}
			one := fr.One()
			for i := range in {
				in[i].Add(&in[i], &one)
				if holds(in, out) {
					t.Errorf("arity %d: input %d changed: holds", arity, i)
				}
				in[i].Sub(&in[i], &one)
			}
			out.Add(&out, &one)
			if holds(in, out) {
				t.Errorf("arity %d: another output holds", arity)
			}
		}
	}
}

func TestVectorsPoseidon(t *testing.T) {
	var f struct {
		Neptune struct {
			Vectors []struct {
				Arity    int          `json:"arity"`
				Type     string       `json:"hash_type"`
				Strength string       `json:"strength"`
				Digest   vectors.Node `json:"digest_le_hex"`
			} `json:"vectors"`
		} `json:"neptune_hash_values"`
		Single []struct {
			Arity  int            `json:"arity"`
			Inputs []vectors.Node `json:"inputs_le_hex"`
			Digest vectors.Node   `json:"digest_le_hex"`
		} `json:"single_hashes"`
	}
	vectors.Load(t, "poseidon.json", &f)
	ran := 0
	check := func(in []fr.Element, want vectors.Node) {
		t.Helper()
		switch len(in) {
		case 2, 4, 8, 11:
		default:
			return
		}
		ran++
		if !hashGadget(t, len(in))(in, elementOf(t, merkle.Node(want))) {
			t.Errorf("arity %d: the vector does not hold", len(in))
		}
	}
	for _, v := range f.Neptune.Vectors {
		if v.Type != "MerkleTree" || v.Strength != "standard" {
			continue
		}
		in := make([]fr.Element, v.Arity)
		for i := range in {
			in[i].SetUint64(uint64(i))
		}
		check(in, v.Digest)
	}
	for _, v := range f.Single {
		if len(v.Inputs) != v.Arity || v.Arity == 0 {
			continue
		}
		var in []fr.Element
		for _, n := range v.Inputs {
			in = append(in, elementOf(t, merkle.Node(n)))
		}
		check(in, v.Digest)
	}
	if ran == 0 {
		t.Error("no vector has an arity and a tag that circuits use")
	}
	t.Logf("%d vectors", ran)
}

// pathOf is the path of a leaf in a small tree, with random nodes beside it.
func pathOf(arities []int, index uint64) *merkle.Path {
	p := &merkle.Path{Leaf: randomNodes(1)[0]}
	for i, arity := range arities {
		p.Elements = append(p.Elements, merkle.Element{Siblings: randomNodes(8*i + arity - 1), Position: uint8(index % uint64(arity))})
		p.Elements[i].Siblings = p.Elements[i].Siblings[:arity-1]
		index /= uint64(arity)
	}
	return p
}

func TestClimb(t *testing.T) {
	for _, c := range []struct {
		shape  merkle.Shape
		leaves uint64
	}{
		{merkle.Shape{Base: 8}, 64},
		{merkle.Shape{Base: 8, Sub: 2}, 16},
		{merkle.Shape{Base: 8, Sub: 8}, 64},
		{merkle.Shape{Base: 8, Sub: 8, Top: 2}, 128},
	} {
		t.Run(c.shape.String(), func(t *testing.T) {
			arities, err := c.shape.Arities(c.leaves)
			if err != nil {
				t.Fatal(err)
			}
			cs := newGadget(t, 1+children(arities), 2, func(api frontend.API, in, public []frontend.Variable) {
				leaf, rest := in[0], in[1:]
				levels := newLevels(arities)
				for i := range levels {
					levels[i], rest = rest[:arities[i]], rest[arities[i]:]
				}
				api.AssertIsEqual(climb(api, leaf, levels, newArith(api).position(public[0], indexBits(c.leaves))), public[1])
			})
			for _, index := range []uint64{0, 1, c.leaves/2 + 3, c.leaves - 1} {
				p := pathOf(arities, index)
				root, err := p.Root(c.shape, c.leaves)
				if err != nil || p.Index() != index {
					t.Fatal(p.Index(), err)
				}
				var n nodes
				levels := newLevels(arities)
				n.path(levels, p)
				if n.err != nil {
					t.Fatal(n.err)
				}
				in := []fr.Element{elementOf(t, p.Leaf)}
				for _, level := range levels {
					for _, v := range level {
						in = append(in, v.(fr.Element))
					}
				}
				w := values(t, in, []fr.Element{fr.NewElement(index), elementOf(t, root)})
				each := 1
				if index != c.leaves-1 {
					each = 7
				}
				refusesChanges(t, cs, w, each, nil)
				// The index of no leaf, with the same lower bits.
				w.Vector().(fr.Vector)[0].SetUint64(index + c.leaves)
				if solved(cs, w) {
					t.Errorf("leaf %d holds", index+c.leaves)
				}
			}
		})
	}
}

func children(arities []int) (n int) {
	for _, arity := range arities {
		n += arity
	}
	return n
}

func TestDataPath(t *testing.T) {
	const levels = 2
	cs := newGadget(t, 2*levels, 3, func(api frontend.API, in, public []frontend.Variable) {
		a := newArith(api)
		var pairs []pair
		for i := range levels {
			pairs = append(pairs, pair{in[2*i], in[2*i+1]})
		}
		leaf := a.dataPath(pairs, a.position(public[0], levels), a.words(a.trimmed(public[1])))
		api.AssertIsEqual(leaf, public[2])
	})
	for index := range uint64(1 << levels) {
		p := pathOf([]int{2, 2}, index)
		// Leaves may have the highest bit set that a field element can have.
		p.Leaf = fr32.Bytes(func() *fr.Element { e := fr.NewElement(index + 1); return e.Neg(&e) }())
		root, err := p.DataRoot(1 << levels)
		if err != nil {
			t.Fatal(err)
		}
		var n nodes
		pairs := make([]pair, levels)
		n.data(pairs, p)
		if n.err != nil {
			t.Fatal(n.err)
		}
		var in []fr.Element
		for _, l := range pairs {
			in = append(in, l.Left.(fr.Element), l.Right.(fr.Element))
		}
		w := values(t, in, []fr.Element{fr.NewElement(index), elementOf(t, root), elementOf(t, p.Leaf)})
		t.Run(fmt.Sprint(index), func(t *testing.T) { refusesChanges(t, cs, w, 1, nil) })
	}
}
