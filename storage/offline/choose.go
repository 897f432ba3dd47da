package offline

import (
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
)

// kinds are the seal proofs that are chosen when none is named: one a sector size, smallest
// first, with the graph and the challenges that networks use today.
var kinds = [...]abi.RegisteredSealProof{
	abi.RegisteredSealProof_StackedDrg2KiBV1_1, abi.RegisteredSealProof_StackedDrg8MiBV1_1, abi.RegisteredSealProof_StackedDrg512MiBV1_1,
	abi.RegisteredSealProof_StackedDrg32GiBV1_1, abi.RegisteredSealProof_StackedDrg64GiBV1_1,
}

// ProofOf is the seal proof for a sector of so many bytes.
func ProofOf(sector uint64) (abi.RegisteredSealProof, error) {
	for _, p := range kinds {
		if size, err := p.SectorSize(); err == nil && uint64(size) == sector {
			return p, nil
		}
	}
	return 0, fmt.Errorf("no sector has %d bytes; there are 2KiB, 8MiB, 512MiB, 32GiB and 64GiB", sector)
}

// ProofFor is the seal proof for the smallest sector that holds so many bytes of payload.
func ProofFor(payload int64) (abi.RegisteredSealProof, error) {
	for _, p := range kinds {
		if size, err := p.SectorSize(); err == nil && payload <= int64(abi.PaddedPieceSize(size).Unpadded()) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%d bytes are too many for any sector; cut the file", payload)
}
