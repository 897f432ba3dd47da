package sealing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/filecoin-project/specs-actors/v8/actors/builtin/miner"

	"github.com/lodenet/lode/chain/state/view"
	"github.com/lodenet/lode/chain/types"
	"github.com/lodenet/lode/proofs/commp"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/storage/sector"
)

// do does the work of a sector's state. It can be repeated, and be stopped at any point.
func (s *Sealing) do(ctx context.Context, sec sector.Sector) ([]sector.Event, error) {
	var ev sector.Event
	var err error
	stage, _ := sec.State.Stage()
	switch stage {
	case sector.StagePack:
		ev, err = s.pack(sec)
	case sector.StageTicket:
		ev, err = s.ticket(ctx, sec)
	case sector.StageLabel:
		ev, err = s.label(ctx, sec)
	case sector.StageReplicate:
		ev, err = s.replicate(ctx, sec)
	case sector.StageSendPreCommit:
		ev, err = s.sendPreCommit(ctx, sec)
	case sector.StageAwaitPreCommit:
		ev, err = s.awaitPreCommit(ctx, sec)
	case sector.StageSeed:
		ev, err = s.seed(ctx, sec)
	case sector.StageProve:
		ev, err = s.prove(ctx, sec)
	case sector.StageSendCommit:
		ev, err = s.sendCommit(ctx, sec)
	case sector.StageAwaitCommit:
		ev, err = s.awaitCommit(ctx, sec)
	case sector.StageFinalize:
		ev, err = s.finalize(sec)
	case sector.StageRecoverDeals:
		ev, err = s.recoverDeals(ctx, sec)
	case sector.StageSendTerminate:
		ev, err = s.sendTerminate(ctx, sec)
	case sector.StageAwaitTerminate:
		ev, err = s.awaitTerminate(ctx, sec)
	case sector.StageAwaitFinality:
		ev, err = s.awaitFinality(ctx, sec)
	case sector.StageRemove:
		ev, err = sector.Deleted{}, broken(s.files.remove(sec.Number))
	default:
		err = because(sector.Fatal, "state %s has no work", sec.State)
	}
	if err != nil {
		return nil, err
	}
	return []sector.Event{ev}, nil
}

// pack fills the rest of the unsealed file with zeros and computes the data's commitment.
func (s *Sealing) pack(sec sector.Sector) (sector.Event, error) {
	pieces := append(sec.Pieces[:len(sec.Pieces):len(sec.Pieces)], sector.Fillers(sec.Used(), sec.Size())...)
	infos := make([]abi.PieceInfo, len(pieces))
	for i := range pieces {
		if pieces[i].Deal == nil {
			pieces[i].CID = commp.ZeroPiece(pieces[i].Size)
		}
		infos[i] = abi.PieceInfo{Size: pieces[i].Size, PieceCID: pieces[i].CID}
	}
	commD, err := commp.CommD(sec.SealProof, infos)
	if err != nil {
		return nil, because(sector.Fatal, "commitment of the data: %w", err)
	}
	if err := s.fillUnsealed(sec, pieces); err != nil {
		return nil, broken(fmt.Errorf("unsealed file: %w", err))
	}
	return sector.Packed{Pieces: pieces, CommD: commD}, nil
}

func (s *Sealing) fillUnsealed(sec sector.Sector, pieces []sector.Piece) error {
	if err := s.files.make(sec.Number); err != nil {
		return err
	}
	path := s.files.path(sec.Number, porep.Unsealed)
	if err := s.files.check("create", path); err != nil {
		return err
	}
	flags := os.O_RDWR
	if len(sec.Deals()) == 0 {
		flags |= os.O_CREATE
	}
	raw, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	f := &file{raw, s.files}
	err = func() error {
		// What an abandoned piece left behind the last one goes; the gaps before it are written.
		if err := f.Truncate(int64(sec.Used())); err != nil {
			return err
		}
		zeros := make([]byte, 1<<16)
		for _, p := range pieces {
			if p.Deal != nil || p.Offset >= sec.Used() {
				continue
			}
			for o := p.Offset; o < p.Offset+p.Size; o += abi.PaddedPieceSize(len(zeros)) {
				n := min(abi.PaddedPieceSize(len(zeros)), p.Offset+p.Size-o)
				if _, err := f.WriteAt(zeros[:n], int64(o)); err != nil {
					return err
				}
			}
		}
		if err := f.Truncate(int64(sec.Size())); err != nil {
			return err
		}
		if err := s.files.check("sync", path); err != nil {
			return err
		}
		return f.Sync()
	}()
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncDir(dirOf(path))
}

// at is the head and the state after it.
func (s *Sealing) at(ctx context.Context) (*types.TipSet, *view.View, error) {
	head := s.deps.Chain.Head()
	v, err := s.deps.Chain.View(ctx, head)
	if err != nil {
		return nil, nil, fmt.Errorf("state at %d: %w", head.Height(), err)
	}
	return head, v, nil
}

// ticket draws the sealing randomness; a sector that is pre-committed already keeps its.
func (s *Sealing) ticket(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	epoch := max(0, head.Height()-s.opt.TicketLookback)
	pc, found, err := v.PreCommit(ctx, s.deps.Miner, sec.Number)
	if err != nil {
		return nil, err
	}
	if found {
		epoch = pc.Info.SealRandEpoch
	}
	entropy, err := s.entropy()
	if err != nil {
		return nil, err
	}
	r, err := s.deps.Chain.TicketRandomness(ctx, head, crypto.DomainSeparationTag_SealRandomness, epoch, entropy)
	if err != nil {
		return nil, fmt.Errorf("ticket of epoch %d: %w", epoch, err)
	}
	return sector.Ticketed{Ticket: r, Epoch: epoch}, nil
}

// ticketMargin is how many epochs before its end a ticket counts as too old to start work on.
const ticketMargin = 120

// fresh tells whether the ticket and the deals are still good for the steps up to the
// pre-commit (spec markets.md C.2).
func (s *Sealing) fresh(ctx context.Context, sec sector.Sector) error {
	head, v, err := s.at(ctx)
	if err != nil {
		return err
	}
	if err := s.deals(ctx, v, sec, head.Height()); err != nil {
		return err
	}
	if head.Height()-sec.TicketEpoch <= miner.MaxPreCommitRandomnessLookback-ticketMargin {
		return nil
	}
	_, found, err := v.PreCommit(ctx, s.deps.Miner, sec.Number)
	if err != nil || found {
		return err
	}
	return because(sector.TicketExpired, "ticket of epoch %d is too old at %d", sec.TicketEpoch, head.Height())
}

func task(sec sector.Sector) porep.Task {
	return porep.Task{Proof: sec.SealProof, Miner: sec.Miner, Number: sec.Number, Ticket: sec.Ticket}
}

// label is PreCommit1.
func (s *Sealing) label(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	if err := s.fresh(ctx, sec); err != nil {
		return nil, err
	}
	w, err := s.files.work(sec.Number)
	if err != nil {
		return nil, broken(err)
	}
	defer w.discard()
	if err := porep.Label(ctx, task(sec), sec.CommD, w, s.progress(sec.Number)); err != nil {
		return nil, broken(fmt.Errorf("labels: %w", err))
	}
	return sector.Labelled{}, broken(w.publish())
}

// replicate is PreCommit2.
func (s *Sealing) replicate(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	if err := s.fresh(ctx, sec); err != nil {
		return nil, err
	}
	w, err := s.files.work(sec.Number)
	if err != nil {
		return nil, broken(err)
	}
	defer w.discard()
	commR, err := porep.Commit(ctx, task(sec), sec.CommD, w, s.progress(sec.Number))
	if err != nil {
		return nil, broken(fmt.Errorf("replica: %w", err))
	}
	return sector.Replicated{CommR: commR}, broken(w.publish())
}

// seed waits for the epoch whose randomness challenges the sector and draws it.
func (s *Sealing) seed(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	for {
		head, v, err := s.at(ctx)
		if err != nil {
			return nil, err
		}
		pc, err := s.preCommitted(ctx, v, sec)
		if err != nil {
			return nil, err
		}
		epoch := pc.PreCommitEpoch + miner.PreCommitChallengeDelay
		if head.Height() >= epoch+s.opt.SeedConfidence {
			seed, err := s.drawSeed(ctx, head, epoch)
			if err != nil {
				return nil, err
			}
			return sector.Seeded{Seed: seed, Epoch: epoch, PreCommitEpoch: pc.PreCommitEpoch}, nil
		}
		if from := pc.PreCommitEpoch; epoch > from {
			s.setPercent(sec.Number, int(max(0, min(99, 100*(head.Height()-from)/(epoch+s.opt.SeedConfidence-from)))))
		}
		if _, err := s.deps.Chain.HeadChanged(ctx, head.Key()); err != nil {
			return nil, err
		}
	}
}

func (s *Sealing) drawSeed(ctx context.Context, head *types.TipSet, epoch abi.ChainEpoch) ([]byte, error) {
	entropy, err := s.entropy()
	if err != nil {
		return nil, err
	}
	seed, err := s.deps.Chain.BeaconRandomness(ctx, head, crypto.DomainSeparationTag_InteractiveSealChallengeSeed, epoch, entropy)
	if err != nil {
		return nil, fmt.Errorf("seed of epoch %d: %w", epoch, err)
	}
	return seed, nil
}

// preCommitted is the sector's pre-commit on chain.
func (s *Sealing) preCommitted(ctx context.Context, v *view.View, sec sector.Sector) (*miner.SectorPreCommitOnChainInfo, error) {
	pc, found, err := v.PreCommit(ctx, s.deps.Miner, sec.Number)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, because(sector.NoPreCommit, "the chain does not have the pre-commit")
	}
	return pc, s.ours(sec, pc)
}

// ours tells whether a pre-commit is of this replica.
func (s *Sealing) ours(sec sector.Sector, pc *miner.SectorPreCommitOnChainInfo) error {
	if pc.Info.SealedCID != sec.CommR || pc.Info.SealRandEpoch != sec.TicketEpoch {
		return because(sector.Fatal, "the chain has another replica pre-committed under this number: %s of epoch %d, not %s of %d",
			pc.Info.SealedCID, pc.Info.SealRandEpoch, sec.CommR, sec.TicketEpoch)
	}
	return nil
}

func (s *Sealing) statement(sec sector.Sector) proof.SealVerifyInfo {
	return proof.SealVerifyInfo{
		SealProof:             sec.SealProof,
		SectorID:              abi.SectorID{Miner: sec.Miner, Number: sec.Number},
		DealIDs:               sec.Deals(),
		Randomness:            sec.Ticket,
		InteractiveRandomness: sec.Seed,
		SealedCID:             sec.CommR,
		UnsealedCID:           sec.CommD,
		Proof:                 sec.Proof,
	}
}

// prove makes the proof of replication and checks it.
func (s *Sealing) prove(ctx context.Context, sec sector.Sector) (sector.Event, error) {
	head, v, err := s.at(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.deals(ctx, v, sec, head.Height()); err != nil {
		return nil, err
	}
	vanilla, err := porep.Prove(ctx, task(sec), sec.CommD, sec.CommR, sec.Seed, s.Files(sec.Number))
	if err != nil {
		return nil, broken(fmt.Errorf("vanilla proof: %w", err))
	}
	s.setPercent(sec.Number, 20)
	st := s.statement(sec)
	if st.Proof, err = s.deps.Prover.ProveSeal(ctx, st, vanilla); err != nil {
		return nil, broken(fmt.Errorf("proof: %w", err))
	}
	if err := s.verify(ctx, st); err != nil {
		return nil, err
	}
	return sector.Proved{Proof: st.Proof}, nil
}

func (s *Sealing) verify(ctx context.Context, st proof.SealVerifyInfo) error {
	ok, err := s.deps.Verifier.VerifySeal(ctx, st)
	if err != nil {
		return because(sector.BadProof, "check of the proof: %w", err)
	}
	if !ok {
		return because(sector.BadProof, "the proof does not hold")
	}
	return nil
}

// finalize drops what only sealing needed.
func (s *Sealing) finalize(sec sector.Sector) (sector.Event, error) {
	for _, name := range []string{porep.Sealed, porep.Aux} {
		f, err := s.Files(sec.Number).Open(name)
		if err != nil {
			return nil, broken(fmt.Errorf("replica: %w", err))
		}
		if err := f.Close(); err != nil {
			return nil, broken(err)
		}
	}
	if err := s.files.keep(sec.Number); err != nil {
		return nil, broken(err)
	}
	if s.opt.DropUnsealed && !keepUnsealed(sec) {
		err := os.Remove(s.files.path(sec.Number, porep.Unsealed))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, broken(err)
		}
	}
	return sector.Finalized{}, nil
}

func keepUnsealed(sec sector.Sector) bool {
	for _, p := range sec.Pieces {
		if p.Deal != nil && p.Deal.KeepUnsealed {
			return true
		}
	}
	return false
}

func (s *Sealing) entropy() ([]byte, error) { return Entropy(s.deps.Miner) }

var _ io.ReaderAt = (*file)(nil)
