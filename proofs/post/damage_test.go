package post

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/registry"
)

// One base tree whose file has a row below its root, and eight that are joined.
var (
	single = registry.PoSt{Proof: winning, Winning: true, SectorSize: 4096 * 32, Shape: merkle.Shape{Base: 8}, Challenges: 66, Sectors: 1}
	joined = registry.PoSt{Proof: winning, Winning: true, SectorSize: 512 * 32, Shape: merkle.Shape{Base: 8, Sub: 8}, Challenges: 66, Sectors: 1}
)

// replicaOf makes a replica of random nodes with its trees. That it comes from no data does
// not matter to a proof of spacetime.
func replicaOf(t *testing.T, p registry.PoSt, number byte) (porep.Files, fr32.Node) {
	t.Helper()
	f := porep.MemFiles()
	data := make([]byte, p.SectorSize)
	mrand.NewChaCha8([32]byte{number}).Read(data)
	for i := 31; i < len(data); i += 32 {
		data[i] &= 0x3f
	}
	write(t, f, porep.Sealed, data)
	n := p.Shape.BaseTrees()
	each := int64(len(data) / n)
	layout, err := merkle.ReplicaTree(uint64(each) / 32)
	if err != nil {
		t.Fatal(err)
	}
	roots := make([]merkle.Node, n)
	for i := range roots {
		file, err := f.Create(porep.TreeRFile(i, n))
		if err != nil {
			t.Fatal(err)
		}
		leaves := io.NewSectionReader(bytes.NewReader(data), int64(i)*each, each)
		if roots[i], err = layout.Build(context.Background(), leaves, file, nil); err != nil {
			t.Fatal(err)
		}
	}
	aux := porep.Roots{CommC: fr32.Node{number, 1}}
	if aux.CommRLast, err = p.Shape.Join(roots); err != nil {
		t.Fatal(err)
	}
	write(t, f, porep.Aux, append(aux.CommC[:], aux.CommRLast[:]...))
	commR, err := aux.CommR()
	if err != nil {
		t.Fatal(err)
	}
	return f, commR
}

// Whatever happens to the files, no proof of them is made that does not hold; and what can
// be seen by a proof is seen by the one who makes it.
func TestDamageIsFound(t *testing.T) {
	for _, p := range []registry.PoSt{single, joined} {
		t.Run(p.Shape.String(), func(t *testing.T) { testDamage(t, p) })
	}
}

func testDamage(t *testing.T, p registry.PoSt) {
	good, commR := replicaOf(t, p, 1)
	other, _ := replicaOf(t, p, 2)
	open := challenges(p, 1, 0, [32]byte{5})
	n := p.Shape.BaseTrees()
	treeSize := int64(len(contents(t, good, porep.TreeRFile(0, n))))

	prove := func(f porep.Files) error {
		_, err := proveSector(context.Background(), p, abi.SectorNumber(1), commR, open, f)
		return err
	}
	if err := prove(good); err != nil {
		t.Fatal(err)
	}
	// changed is the good files with one of them replaced.
	changed := func(name string, b []byte) porep.Files {
		f := porep.MemFiles()
		all := []string{porep.Sealed, porep.Aux}
		for i := range n {
			all = append(all, porep.TreeRFile(i, n))
		}
		for _, each := range all {
			if each != name {
				write(t, f, each, contents(t, good, each))
			} else if b != nil {
				write(t, f, each, b)
			}
		}
		return f
	}
	flip := func(name string, at int64) porep.Files {
		b := contents(t, good, name)
		b[at] ^= 1 << (at % 6) // not one of the bits that make a node no field element
		return changed(name, b)
	}
	type damage struct {
		name  string
		files porep.Files
		want  error
	}
	var table []damage
	add := func(name string, f porep.Files, want error) { table = append(table, damage{name, f, want}) }

	for _, node := range open[:8] {
		at := int64(node) * 32
		add(fmt.Sprintf("a challenged node, %d", node), flip(porep.Sealed, at+int64(node)%32), ErrDamaged)
		add(fmt.Sprintf("a sibling of node %d", node), flip(porep.Sealed, at^32), ErrDamaged)
		add(fmt.Sprintf("a node under the lowest row kept, by node %d", node), flip(porep.Sealed, at^(32*32)), ErrDamaged)
	}
	for i := range n {
		name := porep.TreeRFile(i, n)
		for at := int64(0); at < treeSize; at += 32 {
			add(fmt.Sprintf("%s at %d", name, at), flip(name, at+at/32), ErrDamaged)
		}
		add(name+" of another sector", changed(name, contents(t, other, name)), ErrDamaged)
		add(name+" truncated", changed(name, contents(t, good, name)[:treeSize-1]), porep.ErrSize)
		add(name+" grown", changed(name, append(contents(t, good, name), 0)), porep.ErrSize)
		add(name+" empty", changed(name, []byte{}), porep.ErrSize)
	}
	for at := int64(0); at < 64; at += 3 {
		add(fmt.Sprintf("p_aux at %d", at), flip(porep.Aux, at), ErrDamaged)
	}
	for _, name := range []string{porep.Sealed, porep.Aux} {
		b := contents(t, good, name)
		add(name+" of another sector", changed(name, contents(t, other, name)), ErrDamaged)
		add(name+" of zeros", changed(name, make([]byte, len(b))), ErrDamaged)
		add(name+" truncated", changed(name, b[:len(b)/2]), porep.ErrSize)
		add(name+" a byte short", changed(name, b[:len(b)-1]), porep.ErrSize)
		add(name+" grown", changed(name, append(b, 0)), porep.ErrSize)
		add(name+" empty", changed(name, []byte{}), porep.ErrSize)
	}
	add("another sector", other, ErrDamaged)
	if n > 1 {
		f := changed(porep.TreeRFile(0, n), contents(t, good, porep.TreeRFile(1, n)))
		write(t, f, porep.TreeRFile(1, n), contents(t, good, porep.TreeRFile(0, n)))
		add("base trees in another order", f, ErrDamaged)
	}

	for name, at := range map[string]int64{porep.Sealed: int64(open[0]) * 32, porep.TreeRFile(n-1, n): 0, porep.Aux: 32} {
		b := contents(t, good, name)
		b[at+31] = 0xff
		add("no field element in "+name, changed(name, b), ErrDamaged)
	}

	for _, d := range table {
		if err := prove(d.files); !errors.Is(err, d.want) {
			t.Errorf("%s: got %v, want %v", d.name, err, d.want)
		}
	}
}
