package porep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs/commitment"
	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/vectors"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/registry"
	"github.com/lodenet/lode/proofs/sdr"
)

type sealFile struct {
	Published []struct {
		Bytes    abi.SectorSize          `json:"sector_bytes"`
		Proof    abi.RegisteredSealProof `json:"registered_seal_proof"`
		Miner    abi.ActorID             `json:"miner_actor_id"`
		ProverID vectors.Node            `json:"prover_id_hex"`
		PoRepID  vectors.Node            `json:"porep_id_hex"`
		Number   abi.SectorNumber        `json:"sector_number"`
		Ticket   vectors.Hex             `json:"ticket_hex"`
		Data     string                  `json:"data"`
		CommD    string                  `json:"comm_d_cid"`
		CommR    string                  `json:"comm_r_cid"`
		CommDHex vectors.Node            `json:"comm_d_hex"`
		CommRHex vectors.Node            `json:"comm_r_hex"`
		Derived  struct {
			ReplicaID   vectors.Node   `json:"replica_id_hex"`
			CommC       vectors.Node   `json:"comm_c_hex"`
			CommRLast   vectors.Node   `json:"comm_r_last_hex"`
			Layer1      []vectors.Node `json:"labels_layer1_hex"`
			Layer2      []vectors.Node `json:"labels_layer2_hex"`
			Columns     []vectors.Node `json:"column_hashes_hex"`
			Replica     []vectors.Node `json:"replica_hex"`
			Interactive []struct {
				Seed       vectors.Hex `json:"seed_hex"`
				Challenges []uint64    `json:"challenges"`
				Inputs     []string    `json:"groth16_public_inputs"`
			} `json:"interactive"`
		} `json:"derived"`
	} `json:"published"`
	Small struct {
		Entries []struct {
			Bytes     abi.SectorSize   `json:"sector_bytes"`
			Shape     string           `json:"tree_shape"`
			Layers    int              `json:"layers"`
			PoRepID   vectors.Node     `json:"porep_id_hex"`
			Version   string           `json:"api_version"`
			ProverID  vectors.Node     `json:"prover_id_hex"`
			Number    abi.SectorNumber `json:"sector_number"`
			Ticket    vectors.Hex      `json:"ticket_hex"`
			DataRule  string           `json:"data_rule"`
			CommD     vectors.Node     `json:"comm_d_hex"`
			ReplicaID vectors.Node     `json:"replica_id_hex"`
			CommC     vectors.Node     `json:"comm_c_hex"`
			CommRLast vectors.Node     `json:"comm_r_last_hex"`
			CommR     vectors.Node     `json:"comm_r_hex"`
		} `json:"entries"`
	} `json:"derived_small_sectors"`
	Large struct {
		CommD  string `json:"comm_d_cid"`
		CommR  string `json:"comm_r_cid"`
		Update update `json:"snap_update"`
	} `json:"published_32gib"`
	Update update `json:"published_2kib_update"`
}

// update is a sector whose data was replaced. What of it is checked is the form.
type update struct {
	Old   string `json:"comm_r_old_cid"`
	CommD string `json:"comm_d_new_cid"`
	CommR string `json:"comm_r_new_cid"`
}

func TestVectorsSeal(t *testing.T) {
	var f sealFile
	set := vectors.Load(t, "seal.json", &f)
	ctx := context.Background()

	for _, v := range f.Published {
		set.Run(t, fmt.Sprintf("published/%d", v.Bytes), func(t *testing.T) {
			if v.Bytes > 8<<20 {
				vectors.Long(t, "a large sector")
			}
			if v.Data != fmt.Sprintf("%d zero bytes", v.Bytes) {
				t.Fatalf("data %q", v.Data)
			}
			if got := registry.ProverID(v.Miner); got != [32]byte(v.ProverID) {
				t.Errorf("got prover id %x", got)
			}
			ctx, check := inTime(t)
			task := Task{Proof: v.Proof, Miner: v.Miner, Number: v.Number, Ticket: abi.SealRandomness(v.Ticket)}
			commD := parse(t, v.CommD)
			files := zeroSector(t, v.Bytes)
			check(Label(ctx, task, commD, files, nil))
			commR, err := Commit(ctx, task, commD, files, nil)
			check(err)
			if commR.String() != v.CommR || commitment.SealedCID(merkle.Node(v.CommRHex)) != commR || commitment.UnsealedCID(merkle.Node(v.CommDHex)) != commD {
				t.Errorf("got CommR %v, want %s", commR, v.CommR)
			}
			s, err := newSector(task, commD)
			if err != nil {
				t.Fatal(err)
			}
			d := v.Derived
			if s.id != fr32.Node(d.ReplicaID) || s.PoRepID != [32]byte(v.PoRepID) {
				t.Errorf("got replica id %x of %x", s.id, s.PoRepID)
			}
			if aux, err := ReadRoots(files); err != nil || aux != (Roots{merkle.Node(d.CommC), merkle.Node(d.CommRLast)}) {
				t.Errorf("got %x, %v", aux, err)
			}
			for name, want := range map[string][]vectors.Node{LayerFile(1): d.Layer1, LayerFile(2): d.Layer2, Sealed: d.Replica} {
				if len(want) > 0 && !bytes.Equal(read(t, files, name), join(want)) {
					t.Errorf("%s differs", name)
				}
			}
			if want := join(d.Columns); len(want) > 0 && !bytes.Equal(read(t, files, TreeCFile(0, 1))[:len(want)], want) {
				t.Error("column hashes differ")
			}
			for _, i := range d.Interactive {
				seed := abi.InteractiveSealRandomness(i.Seed)
				p, err := Prove(ctx, task, commD, commR, seed, files)
				if err != nil {
					t.Fatal(err)
				}
				info := (&sealed{task: task, commD: commD, commR: commR}).statement()
				info.InteractiveRandomness = seed
				if err := Verify(info, p); err != nil {
					t.Error(err)
				}
				checkInputs(t, s, merkle.Node(v.CommRHex), p, i.Challenges, i.Inputs)
			}
		})
	}

	for _, v := range f.Small.Entries {
		set.Run(t, "small/"+v.Shape, func(t *testing.T) {
			if v.DataRule != `node i = trim254(SHA-256("data" || u32le(i)))` {
				t.Fatalf("data rule %q", v.DataRule)
			}
			var data []byte
			for i := range uint32(v.Bytes / 32) {
				n := fr32.Node(sha256.Sum256(binary.LittleEndian.AppendUint32([]byte("data"), i)))
				fr32.Trim(&n)
				data = append(data, n[:]...)
			}
			seal := registry.Seal{
				Version: version(t, v.Version), SectorSize: v.Bytes, Layers: v.Layers,
				Partitions: 1, Challenges: 3, PoRepID: v.PoRepID,
			}
			if _, err := fmt.Sscanf(v.Shape, "%d-%d-%d", &seal.Shape.Base, &seal.Shape.Sub, &seal.Shape.Top); err != nil {
				t.Fatal(err)
			}
			miner, n := binary.Uvarint(v.ProverID[:])
			if n <= 0 {
				t.Fatalf("prover id %x", v.ProverID)
			}
			s, err := sectorOf(seal, Task{Miner: abi.ActorID(miner), Number: v.Number, Ticket: abi.SealRandomness(v.Ticket)}, commitment.UnsealedCID(merkle.Node(v.CommD)))
			if err != nil {
				t.Fatal(err)
			}
			if s.id != fr32.Node(v.ReplicaID) {
				t.Errorf("got replica id %x, want %x", s.id, v.ReplicaID)
			}
			files := MemFiles()
			write(t, files, Unsealed, data)
			if err := s.labelSector(ctx, files, nil); err != nil {
				t.Fatal(err)
			}
			aux, err := s.commit(ctx, files, nil)
			if err != nil || aux != (Roots{merkle.Node(v.CommC), merkle.Node(v.CommRLast)}) {
				t.Fatalf("got %x, %v", aux, err)
			}
			commR, err := aux.CommR()
			if err != nil || commR != fr32.Node(v.CommR) {
				t.Fatalf("got CommR %x, %v", commR, err)
			}
			// The way through the upper trees, and back.
			p, err := s.prove(ctx, commR, seed, files)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.verify(commR, seed, p); err != nil {
				t.Error(err)
			}
			var out bytes.Buffer
			if err := s.unseal(ctx, files, &out, 0, int64(v.Bytes)); err != nil || !bytes.Equal(out.Bytes(), data) {
				t.Errorf("unsealed data differs (%v)", err)
			}
		})
	}

	for _, want := range []string{f.Large.CommD, f.Large.Update.CommD, f.Update.CommD} {
		set.Run(t, "cid/"+want, func(t *testing.T) {
			if d, err := commitment.Unsealed(parse(t, want)); err != nil || commitment.UnsealedCID(d).String() != want {
				t.Errorf("got %x, %v", d, err)
			}
		})
	}
	for _, want := range []string{f.Large.CommR, f.Large.Update.CommR, f.Update.Old, f.Update.CommR} {
		set.Run(t, "cid/"+want, func(t *testing.T) {
			if r, err := commitment.Sealed(parse(t, want)); err != nil || commitment.SealedCID(r).String() != want {
				t.Errorf("got %x, %v", r, err)
			}
		})
	}
}

// checkInputs holds the public inputs of a succinct proof against what the vanilla proof
// opens: identity and roots, then per challenge the node, its parents, the node for its
// label, and the node for trees R and C.
func checkInputs(t *testing.T, s *sector, commR fr32.Node, p *Proof, challenges []uint64, want []string) {
	t.Helper()
	number := func(n fr32.Node) string {
		slices.Reverse(n[:])
		return "0x" + new(big.Int).SetBytes(n[:]).Text(16)
	}
	index := func(i uint64) string { return fmt.Sprintf("0x%x", i) }
	got := []string{number(s.id), number(s.commD), number(commR)}
	for i, c := range p.Partitions[0] {
		if c.Data.Index() != challenges[i] {
			t.Errorf("challenge %d is node %d, want %d", i, c.Data.Index(), challenges[i])
		}
		got = append(got, index(c.Data.Index()))
		for _, parent := range c.Parents {
			got = append(got, index(parent.Path.Index()))
		}
		got = append(got, index(c.Data.Index()), index(c.Replica.Index()), index(c.Column.Path.Index()))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got public inputs %v, want %v", got, want)
	}
}

func TestVectorsChallenges(t *testing.T) {
	type derived struct {
		Nodes      uint64       `json:"sector_nodes"`
		ReplicaID  vectors.Node `json:"replica_id_hex"`
		CommR      vectors.Node `json:"comm_r_hex"`
		Seed       vectors.Hex  `json:"seed_hex"`
		Each       int          `json:"challenges_per_partition"`
		Partition  int          `json:"partition"`
		Challenges []uint64     `json:"challenges"`
	}
	var f struct {
		Synthetic struct {
			Nodes     uint64       `json:"sector_nodes"`
			ReplicaID vectors.Node `json:"replica_id_le_hex"`
			CommR     vectors.Node `json:"comm_r_le_hex"`
			Count     uint64       `json:"num_synthetic"`
			Synthetic []uint64     `json:"synthetic_challenges"`
			Seed      vectors.Hex  `json:"seed_hex"`
			N         int          `json:"num_porep"`
			PoRep     []uint64     `json:"porep_challenges"`
		} `json:"synthetic"`
		Interactive    []derived `json:"interactive_derived"`
		NonInteractive []derived `json:"non_interactive_derived"`
	}
	set := vectors.Load(t, "challenges.json", &f)

	set.Run(t, "synthetic", func(t *testing.T) {
		v := f.Synthetic
		for i, want := range v.Synthetic {
			if got, err := syntheticNode(v.Nodes, uint64(i), fr32.Node(v.ReplicaID), fr32.Node(v.CommR)); err != nil || got != want {
				t.Errorf("challenge %d: got %d, %v, want %d", i, got, err, want)
			}
		}
		got, err := synthetic(v.Nodes, v.Count, fr32.Node(v.ReplicaID), fr32.Node(v.CommR), v.Seed, 0, v.N)
		if err != nil || !slices.Equal(got, v.PoRep) {
			t.Errorf("got %v, %v, want %v", got, err, v.PoRep)
		}
		// A later partition takes up the list where the one before ends.
		half, err := synthetic(v.Nodes, v.Count, fr32.Node(v.ReplicaID), fr32.Node(v.CommR), v.Seed, uint32(v.N/2), v.N-v.N/2)
		if err != nil || !slices.Equal(half, v.PoRep[v.N/2:]) {
			t.Errorf("second half: got %v, %v, want %v", half, err, v.PoRep[v.N/2:])
		}
	})
	for name, c := range map[string]struct {
		feature registry.Feature
		vectors []derived
	}{
		"interactive":     {registry.Interactive, f.Interactive},
		"non-interactive": {registry.NonInteractive, f.NonInteractive},
	} {
		for _, v := range c.vectors {
			set.Run(t, fmt.Sprintf("%s/%d-%d", name, v.Nodes, v.Partition), func(t *testing.T) {
				s := registry.Seal{Feature: c.feature, SectorSize: abi.SectorSize(v.Nodes * 32), Partitions: v.Partition + 1, Challenges: v.Each}
				seed := abi.InteractiveSealRandomness(v.Seed)
				if c.feature == registry.NonInteractive {
					seed = make([]byte, 32)
				}
				got, err := Challenges(s, fr32.Node(v.ReplicaID), fr32.Node(v.CommR), seed, v.Partition)
				if err != nil || !slices.Equal(got, v.Challenges) {
					t.Errorf("got %v, %v, want %v", got, err, v.Challenges)
				}
			})
		}
	}
}

// What of the recorded seals needs no circuit: replica IDs, and the form of the proofs.
func TestVectorsSealRecords(t *testing.T) {
	var f struct {
		Records []struct {
			Bytes      abi.SectorSize   `json:"sector_bytes"`
			Partitions int              `json:"partitions"`
			PoRepID    vectors.Node     `json:"porep_id_hex"`
			Version    string           `json:"api_version"`
			CommR      vectors.Node     `json:"comm_r_hex"`
			CommD      vectors.Node     `json:"comm_d_hex"`
			ProverID   vectors.Node     `json:"prover_id_hex"`
			Number     abi.SectorNumber `json:"sector_number"`
			Ticket     vectors.Node     `json:"ticket_hex"`
			Seed       vectors.Hex      `json:"seed_hex"`
			ReplicaID  vectors.Node     `json:"replica_id_hex_derived"`
			Proof      vectors.Hex      `json:"proof_hex"`
		} `json:"records"`
	}
	set := vectors.Load(t, "seal_regression_records.json", &f)
	for i, v := range f.Records {
		set.Run(t, fmt.Sprintf("record/%d-%d-%s", i, v.Bytes, v.Version), func(t *testing.T) {
			id := sdr.ReplicaID(v.ProverID, v.Number, v.Ticket, fr32.Node(v.CommD), v.PoRepID)
			if id != fr32.Node(v.ReplicaID) {
				t.Errorf("got replica id %x, want %x", id, v.ReplicaID)
			}
			for _, n := range []vectors.Node{v.CommR, v.CommD} {
				if _, err := fr32.Element((*fr32.Node)(&n)); err != nil {
					t.Error(err)
				}
			}
			s, err := registry.SealOf(abi.RegisteredSealProof(binary.LittleEndian.Uint64(v.PoRepID[:])))
			if err != nil {
				return // the recorded identifier is of no registered proof
			}
			// The records combine identifiers, versions and features more freely than the table
			// of registered proofs; the graph follows the old rules with V1_0 alone.
			legacy := version(t, v.Version) == registry.V1_0
			if s.SectorSize != v.Bytes || s.PoRepID != [32]byte(v.PoRepID) || (s.Version == registry.V1_0) != legacy {
				t.Errorf("got %+v", s)
			}
			if s.Partitions != v.Partitions || s.ProofBytes != len(v.Proof) {
				t.Errorf("got %d partitions and %d bytes, want %d and %d", s.Partitions, s.ProofBytes, v.Partitions, len(v.Proof))
			}
		})
	}
}

func version(t *testing.T, s string) registry.Version {
	t.Helper()
	for v, prefix := range []string{"V1_0", "V1_1", "V1_2"} {
		if strings.HasPrefix(s, prefix) {
			return registry.Version(v)
		}
	}
	t.Fatalf("version %q", s)
	return 0
}

func parse(t *testing.T, s string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func join(nodes []vectors.Node) (b []byte) {
	for _, n := range nodes {
		b = append(b, n[:]...)
	}
	return b
}
