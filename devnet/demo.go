package devnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/clock"
	"github.com/lodenet/lode/node"
)

// DemoOptions say what a demo does. Spec is needed.
type DemoOptions struct {
	Spec Spec
	// File is what is stored; empty: the first 5 MiB of this very program.
	File string
	// Dir is where the network lives; empty: a temporary folder that is deleted at the end.
	Dir string
	Log *slog.Logger
}

// sampleBytes is how much of the program a demo without a file stores.
const sampleBytes = 5 << 20

// ErrDiffers: what was retrieved is not what was stored.
var ErrDiffers = errors.New("the retrieved file differs from the stored one")

// demo is one run: a network that stores a file, seals and proves it, and gives it back.
type demo struct {
	opt      DemoOptions
	story    *story
	dir      string
	file     string
	net      *Network
	provider *node.API
	client   *node.API
	third    *node.API
	proving  span // the first proof of replication
	memory   *memory
}

// Told is a demo that went well.
type Told struct {
	Root    cid.Cid
	Size    uint64 // of the file, in bytes
	Steps   []Step
	Seconds float64 // of all steps
}

// Demo runs the main job on a network of its own and tells it on out. It returns an error
// unless the file came back byte for byte.
func Demo(ctx context.Context, opt DemoOptions, out io.Writer) (_ *Told, err error) {
	d := &demo{opt: opt, dir: opt.Dir, story: newStory(out, steps(opt.Spec.Network))}
	d.memory = watchMemory(ctx)
	defer d.memory.stop()
	if opt.Spec.Nodes < 1 {
		return nil, fmt.Errorf("%w: a demo needs at least one node", ErrSpec)
	}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "lode-demo-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	} else if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	if err := d.pickFile(); err != nil {
		return nil, err
	}
	n := opt.Spec.Network
	d.story.say("lode demo: %d nodes, sectors of %s, an epoch of %d s, proof system %s", opt.Spec.Nodes, bytesText(n.Policy.SectorSize), n.EpochSeconds, n.Proofs)
	if err := d.makeKeys(ctx); err != nil {
		return nil, err
	}
	if w := Warning(d.opt.Spec.Network); w != "" {
		d.story.say("%s", w)
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.net.Stop(context.WithoutCancel(ctx))) }()
	root, err := d.store(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.retrieve(ctx, root); err != nil {
		return nil, err
	}
	if err := d.figures(ctx); err != nil {
		return nil, err
	}
	d.story.say("OK: stored, sealed, proven, and back byte for byte, in %.0f s", d.story.total())
	return &Told{Root: root.Root, Size: root.Size, Steps: d.story.told, Seconds: d.story.total()}, nil
}

// steps is how many a demo has.
func steps(n types.Network) int {
	if n.Proofs == types.ProofsGroth16 {
		return 7
	}
	return 6
}

// pickFile checks the given file, or cuts the sample.
func (d *demo) pickFile() error {
	if d.opt.File != "" {
		st, err := os.Stat(d.opt.File)
		switch {
		case err != nil:
			return err
		case !st.Mode().IsRegular():
			return fmt.Errorf("%s is not a regular file", d.opt.File)
		case st.Size() == 0:
			return fmt.Errorf("%s is empty, there is nothing to store", d.opt.File)
		}
		d.file, err = filepath.Abs(d.opt.File)
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := os.Open(exe)
	if err != nil {
		return err
	}
	defer in.Close()
	d.file = filepath.Join(d.dir, "sample.bin")
	out, err := os.Create(d.file)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, in, sampleBytes)
	return errors.Join(err, out.Close())
}

// makeKeys finds or makes the proving keys, before any clock runs.
func (d *demo) makeKeys(ctx context.Context) error {
	if d.opt.Spec.Network.Proofs != types.ProofsGroth16 {
		return nil
	}
	d.story.begin("keys")
	last := ""
	err := d.opt.Spec.makeKeys(ctx, func(step string, done float64) {
		d.story.bar(done, step)
		if step != last { // for those who see no bar
			last = step
			d.story.note("%s", step)
		}
	})
	if err != nil {
		return err
	}
	d.story.end("%d circuits have keys in %s", len(d.opt.Spec.Network.Keys.Verifying), d.opt.Spec.Proving.Keys)
	return nil
}

func (d *demo) start(ctx context.Context) error {
	d.story.begin("network")
	var err error
	d.net, err = Launch(ctx, filepath.Join(d.dir, "net"), d.opt.Spec, clock.System{}, d.opt.Log, func(step string, done float64) { d.story.bar(done, step) })
	if err != nil {
		return err
	}
	nodes := d.net.Nodes
	d.provider, d.client, d.third = nodes[0].API(), nodes[0].API(), nodes[0].API()
	if len(nodes) > 1 {
		d.client, d.third = nodes[1].API(), nodes[1].API()
	}
	if len(nodes) > 2 {
		d.third = nodes[2].API()
	}
	d.story.end("%d nodes up; %s mines with %d sectors sealed before the start", len(nodes), d.net.Birth.Members[0].Miner, d.opt.Spec.PresealedSectors)

	d.story.begin("chain")
	head, err := porcelain.WaitHeight(ctx, d.third, 1)
	if err != nil {
		return errors.Join(err, d.net.Stop(context.WithoutCancel(ctx)))
	}
	last := d.net.Birth.Members[min(len(nodes), 3)-1].Name
	d.story.end("%s follows the chain: epoch %d, block %s", last, head.Height(), head.Cids()[0])
	return nil
}

// store imports the file, makes its deals and waits until they are active.
func (d *demo) store(ctx context.Context) (*api.DataRoot, error) {
	d.story.begin("import")
	root, err := d.client.DataImport(ctx, d.file)
	if err != nil {
		return nil, err
	}
	d.story.end("%s, %s: root %s in %d pieces", filepath.Base(d.file), bytesText(root.Size), root.Root, len(root.Pieces))

	d.story.begin("deal")
	miner := d.net.Birth.Members[0].Miner
	deals, err := d.client.DealMake(ctx, &api.DealOrder{Root: root.Root, Provider: miner})
	if err != nil {
		return nil, err
	}
	d.story.end("%d to be proposed to %s, by %s", len(deals), miner, deals[0].Proposal.Client)

	d.story.begin("seal")
	ids := make([]uuid.UUID, len(deals))
	states := map[uuid.UUID]string{}
	for i, dl := range deals {
		ids[i] = dl.ID
	}
	stop := d.watchProof(ctx)
	active, err := porcelain.WaitDeals(ctx, d.client, ids, func(dl *api.ClientDeal) {
		if states[dl.ID] != dl.State {
			states[dl.ID] = dl.State
			d.story.note("deal %s: %s%s", short(dl.ID), dl.State, onChain(dl))
		}
		d.story.bar(d.sealed(ctx))
	})
	stop()
	if err != nil {
		return nil, err
	}
	sectors, err := d.sectorsOf(ctx, active)
	if err != nil {
		return nil, err
	}
	head, err := d.client.ChainHead(ctx)
	if err != nil {
		return nil, err
	}
	d.story.end("active on chain at epoch %d in %s", head.Height(), sectors)
	return root, nil
}

func short(id uuid.UUID) string { return id.String()[:8] }

func onChain(dl *api.ClientDeal) string {
	if dl.PublishCid == nil {
		return ""
	}
	return fmt.Sprintf(", deal id %d", dl.ChainDealID)
}

// sealed is how far the least advanced sector with deals is, for the bar.
func (d *demo) sealed(ctx context.Context) (float64, string) {
	list, err := d.provider.SectorsProgress(ctx)
	if err != nil {
		return 0, err.Error()
	}
	var what []string
	done, n := 0.0, 0.0
	for _, s := range list {
		if s.Deals == 0 {
			continue
		}
		n++
		if s.Active {
			done++
		}
		what = append(what, fmt.Sprintf("sector %d %s %.0f%%", s.Sector, s.State, 100*s.Progress))
	}
	if n == 0 {
		return 0, "waiting for the deal to be published"
	}
	return done / n, strings.Join(what, ", ")
}

func (d *demo) sectorsOf(ctx context.Context, deals []*api.ClientDeal) (string, error) {
	list, err := d.provider.ProviderDeals(ctx)
	if err != nil {
		return "", err
	}
	in := map[uuid.UUID]*api.ProviderDeal{}
	for _, p := range list {
		in[p.ID] = p
	}
	seen := map[abi.SectorNumber]bool{}
	var out []string
	for _, dl := range deals {
		if p := in[dl.ID]; p != nil && p.Sector != nil && !seen[*p.Sector] {
			seen[*p.Sector] = true
			out = append(out, fmt.Sprintf("sector %d", *p.Sector))
		}
	}
	return strings.Join(out, ", "), nil
}

// retrieve fetches the file through the third node and compares it.
func (d *demo) retrieve(ctx context.Context, root *api.DataRoot) error {
	d.story.begin("retrieve")
	back := filepath.Join(d.dir, "retrieved")
	got, err := porcelain.Fetch(ctx, d.third, &api.RetrieveOrder{Root: root.Root, Output: back, Provider: d.net.Birth.Members[0].Miner},
		func(e *api.RetrieveEvent) {
			d.story.bar(float64(e.Bytes)/float64(max(1, root.Size)), bytesText(e.Bytes)+" from "+e.Source)
		})
	if err != nil {
		return err
	}
	if err := same(d.file, back); err != nil {
		return err
	}
	d.story.end("%s in %d blocks, each verified, from %s; identical", bytesText(got.Bytes), got.Blocks, got.Source)
	return nil
}

// same compares two files byte for byte.
func same(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	ba, bb := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); ; {
		na, ea := io.ReadFull(fa, ba)
		nb, eb := io.ReadFull(fb, bb)
		if na != nb || !bytes.Equal(ba[:na], bb[:nb]) {
			return fmt.Errorf("%w after %d bytes", ErrDiffers, off)
		}
		if ea != nil || eb != nil {
			return errors.Join(unexpected(ea), unexpected(eb))
		}
		off += int64(na)
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
