package vm

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/actors"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/exitcode"
	"github.com/filecoin-project/go-state-types/network"
	"github.com/filecoin-project/specs-actors/v2/actors/builtin/exported"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car/v2"
	"github.com/minio/blake2b-simd"

	"github.com/lodenet/lode/chain/types"
)

// The public test vectors (spec conformance.md), with actors v2. A vector whose recorded
// result is known to contradict the specification ("incorrect") is what the reference did,
// and so does this VM: it runs like the others.

func TestVectorsVMTransfer(t *testing.T)       { runVectors(t, "transfer") }
func TestVectorsVMActorCreation(t *testing.T)  { runVectors(t, "actor_creation") }
func TestVectorsVMActorDeletion(t *testing.T)  { runVectors(t, "actor_deletion") }
func TestVectorsVMMsgApplication(t *testing.T) { runVectors(t, "msg_application") }
func TestVectorsVMNested(t *testing.T)         { runVectors(t, "nested") }
func TestVectorsVMViolations(t *testing.T)     { runVectors(t, "vm_violations") }

// vectorsDir finds the vectors: LODE_VECTORS, relative to the root of the repository.
func vectorsDir(t *testing.T) string {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(root) == root {
			t.Fatal("no go.mod above this package")
		}
		root = filepath.Dir(root)
	}
	dir := os.Getenv("LODE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "shared", "vectors")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(root, dir)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test vectors at %s: set LODE_VECTORS", dir)
	}
	return dir
}

func runVectors(t *testing.T, group string) {
	files, err := filepath.Glob(filepath.Join(vectorsDir(t), "vm", group, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no vectors in group %s", group)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "_") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, variant := range v.Pre.Variants {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+variant.ID, func(t *testing.T) {
				t.Parallel()
				switch v.Class {
				case "message":
					v.runMessages(t, variant)
				case "tipset":
					v.runTipSets(t, variant)
				default:
					t.Fatalf("unknown class %q", v.Class)
				}
			})
		}
	}
}

type link struct {
	CID string `json:"/"`
}

type vector struct {
	Class      string            `json:"class"`
	Selector   map[string]string `json:"selector"`
	CAR        []byte            `json:"car"`
	Randomness []struct {
		On  []any  `json:"on"`
		Ret []byte `json:"ret"`
	} `json:"randomness"`
	Pre struct {
		Variants  []variant `json:"variants"`
		StateTree struct {
			Root link `json:"root_cid"`
		} `json:"state_tree"`
		BaseFee    json.Number `json:"basefee"`
		CircSupply json.Number `json:"circ_supply"`
	} `json:"preconditions"`
	Messages []struct {
		Bytes  []byte         `json:"bytes"`
		Offset abi.ChainEpoch `json:"epoch_offset"`
	} `json:"apply_messages"`
	TipSets []struct {
		Offset  abi.ChainEpoch `json:"epoch_offset"`
		BaseFee json.Number    `json:"basefee"`
		Blocks  []struct {
			Miner    address.Address `json:"miner_addr"`
			WinCount int64           `json:"win_count"`
			Messages [][]byte        `json:"messages"`
		} `json:"blocks"`
	} `json:"apply_tipsets"`
	Post struct {
		StateTree struct {
			Root link `json:"root_cid"`
		} `json:"state_tree"`
		Receipts []struct {
			ExitCode exitcode.ExitCode `json:"exit_code"`
			Return   []byte            `json:"return"`
			GasUsed  int64             `json:"gas_used"`
		} `json:"receipts"`
		ReceiptsRoots []link `json:"receipts_roots"`
	} `json:"postconditions"`
}

type variant struct {
	ID    string          `json:"id"`
	Epoch abi.ChainEpoch  `json:"epoch"`
	NV    network.Version `json:"nv"`
}

func (l link) cid(t *testing.T) cid.Cid {
	c, err := cid.Decode(l.CID)
	if err != nil {
		t.Fatalf("cid %q: %v", l.CID, err)
	}
	return c
}

func amount(t *testing.T, n json.Number, otherwise big.Int) big.Int {
	if n == "" {
		return otherwise
	}
	v, err := big.FromString(n.String())
	if err != nil {
		t.Fatalf("amount %q: %v", n, err)
	}
	return v
}

// env is the surroundings of a vector: its blocks, its actors, its randomness.
func (v *vector) env(t *testing.T, nv network.Version, circulating abi.TokenAmount) Env {
	z, err := gzip.NewReader(bytes.NewReader(v.CAR))
	if err != nil {
		t.Fatal(err)
	}
	r, err := car.NewBlockReader(z)
	if err != nil {
		t.Fatal(err)
	}
	var bs types.MemBlocks
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := bs.Put(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	var reg Registry
	if err := reg.Register(actors.Version2, exported.BuiltinActors()...); err != nil {
		t.Fatal(err)
	}
	if v.Selector["chaos_actor"] == "true" {
		if err := reg.Register(AnyVersion, chaosActor{}); err != nil {
			t.Fatal(err)
		}
	}
	root := v.Pre.StateTree.Root.cid(t)
	return Env{
		Blocks: &bs, Rand: v, NetworkVersion: nv, Actors: &reg, Circulating: &circulating,
		Lookback: func(context.Context, abi.ChainEpoch) (cid.Cid, error) { return root, nil },
	}
}

func (v *vector) draw(kind string, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	digest := []byte("i_am_random_____i_am_random_____")
	for _, r := range v.Randomness {
		if len(r.On) == 2 && r.On[0] == kind && r.On[1] == float64(epoch) {
			digest = r.Ret
			break
		}
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(tag))
	b = append(b, digest...)
	b = binary.BigEndian.AppendUint64(b, uint64(epoch))
	h := blake2b.Sum256(append(b, entropy...))
	return h[:], nil
}

func (v *vector) FromTickets(_ context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return v.draw("chain", tag, epoch, entropy)
}

func (v *vector) FromBeacon(_ context.Context, tag crypto.DomainSeparationTag, epoch abi.ChainEpoch, entropy []byte) ([]byte, error) {
	return v.draw("beacon", tag, epoch, entropy)
}

// chainMsg gives a message of a secp256k1 sender the length that a signature brings.
func chainMsg(t *testing.T, raw []byte) types.ChainMsg {
	m, err := types.DecodeMessage(raw)
	if err != nil {
		t.Fatal(err)
	}
	if m.From.Protocol() != address.SECP256K1 {
		return m
	}
	return &types.SignedMessage{Message: *m, Signature: crypto.Signature{Type: crypto.SigTypeSecp256k1, Data: make([]byte, 65)}}
}

func (v *vector) runMessages(t *testing.T, variant variant) {
	ctx := t.Context()
	whole := big.Mul(big.NewInt(2_000_000_000), types.FilecoinPrecision)
	env := v.env(t, variant.NV, amount(t, v.Pre.CircSupply, whole))
	root, epoch := v.Pre.StateTree.Root.cid(t), variant.Epoch
	if len(v.Messages) == 0 || len(v.Messages) != len(v.Post.Receipts) {
		t.Fatalf("%d messages for %d receipts", len(v.Messages), len(v.Post.Receipts))
	}
	for i, m := range v.Messages {
		epoch += m.Offset
		vm, err := New(ctx, env, root, epoch, amount(t, v.Pre.BaseFee, big.NewInt(100)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := vm.Apply(ctx, chainMsg(t, m.Bytes))
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		v.checkReceipt(t, i, r)
		if root, err = vm.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	v.checkRoot(t, env, root)
}

func (v *vector) runTipSets(t *testing.T, variant variant) {
	ctx := t.Context()
	env := v.env(t, variant.NV, big.Zero())
	n := 0
	note := func(r *Result) {
		if n >= len(v.Post.Receipts) {
			t.Fatalf("more than %d receipts", n)
		}
		v.checkReceipt(t, n, r)
		n++
	}
	env.Implicit = func(_ *types.Message, r *Result) { note(r) }
	root, prev := v.Pre.StateTree.Root.cid(t), variant.Epoch
	for i, ts := range v.TipSets {
		s := TipSet{Parent: root, ParentHeight: prev, Height: variant.Epoch + ts.Offset, BaseFee: amount(t, ts.BaseFee, big.Zero())}
		for _, b := range ts.Blocks {
			bm := types.BlockMessages{Miner: b.Miner, WinCount: b.WinCount}
			for _, raw := range b.Messages {
				m := chainMsg(t, raw)
				switch m.VMMessage().From.Protocol() {
				case address.SECP256K1:
					bm.SecpkMessages = append(bm.SecpkMessages, m)
				case address.BLS:
					bm.BlsMessages = append(bm.BlsMessages, m)
				default:
					bm.SecpkMessages = append(bm.SecpkMessages, m)
					bm.BlsMessages = append(bm.BlsMessages, m)
				}
			}
			s.Blocks = append(s.Blocks, bm)
		}
		var receipts cid.Cid
		var err error
		root, receipts, err = applySelected(ctx, env, s, func(_ types.ChainMsg, r *Result) { note(r) })
		if err != nil {
			t.Fatalf("tipset %d: %v", i, err)
		}
		if want := v.Post.ReceiptsRoots[i].cid(t); receipts != want {
			t.Errorf("tipset %d: receipts root got %s, want %s", i, receipts, want)
		}
		prev = s.Height
	}
	if n != len(v.Post.Receipts) {
		t.Errorf("got %d receipts, want %d", n, len(v.Post.Receipts))
	}
	v.checkRoot(t, env, root)
}

func (v *vector) checkReceipt(t *testing.T, i int, r *Result) {
	t.Helper()
	want := v.Post.Receipts[i]
	if r.Code() != want.ExitCode || r.Receipt.GasUsed != want.GasUsed || !bytes.Equal(r.Receipt.Return, want.Return) {
		t.Errorf("receipt %d: got exit %d gas %d return %x (%s), want exit %d gas %d return %x", i,
			r.Receipt.ExitCode, r.Receipt.GasUsed, r.Receipt.Return, r.Err, want.ExitCode, want.GasUsed, want.Return)
	}
}

// checkRoot compares the root, and that everything it reaches was kept.
func (v *vector) checkRoot(t *testing.T, env Env, got cid.Cid) {
	t.Helper()
	if want := v.Post.StateTree.Root.cid(t); got != want {
		t.Errorf("state root: got %s, want %s", got, want)
	}
	if ok, err := env.Blocks.Has(t.Context(), got); err != nil || !ok {
		t.Errorf("state root %s is not stored: %v", got, err)
	}
}
