package offline

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/proof"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/proofs"
	"github.com/lodenet/lode/proofs/merkle"
	"github.com/lodenet/lode/proofs/porep"
	"github.com/lodenet/lode/proofs/post"
)

// The kinds of a Document.
const (
	KindSeal    = "seal"
	KindWindow  = "window-post"
	KindWinning = "winning-post"
)

// Vanilla is the system of a Document that has a vanilla proof and no succinct one.
const Vanilla = "vanilla"

// maxDocument bounds what is read of one; the seal of a 32 GiB sector takes some 20 MB.
const maxDocument = 64 << 20

// Document is a proof with the statement that it proves.
type Document struct {
	Kind   string `json:"kind"`
	System string `json:"system"` // vanilla, or the proof system of Proofs

	Seal *SealStatement `json:"seal,omitempty"`
	PoSt *PoStStatement `json:"post,omitempty"`

	VanillaSeal *VanillaSeal  `json:"vanilla_seal,omitempty"`
	VanillaPoSt []VanillaPoSt `json:"vanilla_post,omitempty"` // as PoSt.Sectors
	Proofs      []ProofBytes  `json:"proofs,omitempty"`       // succinct, 192 bytes each
}

// SealStatement is what a proof of replication proves.
type SealStatement struct {
	Proof  abi.RegisteredSealProof `json:"seal_proof"`
	Miner  abi.ActorID             `json:"miner"`
	Number abi.SectorNumber        `json:"sector"`
	Ticket Bytes                   `json:"ticket"`
	Seed   Bytes                   `json:"seed"`
	CommD  cid.Cid                 `json:"comm_d"`
	CommR  cid.Cid                 `json:"comm_r"`
}

// PoStStatement is what a proof of spacetime proves.
type PoStStatement struct {
	Proof      abi.RegisteredPoStProof `json:"post_proof"`
	Miner      abi.ActorID             `json:"miner"`
	Randomness Bytes                   `json:"randomness"`
	Sectors    []PoStSector            `json:"sectors"`
}

// PoStSector is one sector of a proof of spacetime.
type PoStSector struct {
	Proof  abi.RegisteredSealProof `json:"seal_proof"`
	Number abi.SectorNumber        `json:"sector"`
	CommR  cid.Cid                 `json:"comm_r"`
}

// VanillaSeal is a porep.Proof.
type VanillaSeal struct {
	CommC      Bytes         `json:"comm_c"`
	CommRLast  Bytes         `json:"comm_r_last"`
	Partitions [][]Challenge `json:"partitions"`
}

// Challenge is a porep.Challenge.
type Challenge struct {
	Data    Path     `json:"tree_d"`
	Replica Path     `json:"tree_r"`
	Column  Column   `json:"column"`
	Parents []Column `json:"parents"`
}

// Column is a porep.Column.
type Column struct {
	Labels []Bytes `json:"labels"`
	Path   Path    `json:"tree_c"`
}

// VanillaPoSt is a post.SectorProof.
type VanillaPoSt struct {
	CommC     Bytes  `json:"comm_c"`
	CommRLast Bytes  `json:"comm_r_last"`
	Paths     []Path `json:"tree_r"`
}

// Path is a merkle.Path, from the leaf up.
type Path struct {
	Leaf  Bytes         `json:"leaf"`
	Steps []PathElement `json:"steps"`
}

// PathElement is a merkle.Element.
type PathElement struct {
	Siblings []Bytes `json:"siblings"`
	Position uint8   `json:"position"`
}

// ProofBytes is one succinct proof, which JSON has in hex.
type ProofBytes [proofs.ProofBytes]byte

// MarshalText implements encoding.TextMarshaler.
func (p ProofBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *ProofBytes) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(p) {
		return fmt.Errorf("a succinct proof is %d bytes in hex, not %d characters", len(p), len(text))
	}
	_, err := hex.Decode(p[:], text)
	return err
}

// Read reads a document. It is checked by Verify alone.
func Read(r io.Reader) (*Document, error) {
	limited := io.LimitReader(r, maxDocument)
	dec := json.NewDecoder(limited)
	dec.DisallowUnknownFields()
	d := &Document{}
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("not a proof's JSON: %w", err)
	}
	return d, nil
}

// Write writes a document.
func (d *Document) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(d)
}

func (s *SealStatement) info() proof.SealVerifyInfo {
	return proof.SealVerifyInfo{
		SealProof: s.Proof, SectorID: abi.SectorID{Miner: s.Miner, Number: s.Number},
		Randomness: s.Ticket[:], InteractiveRandomness: s.Seed[:], SealedCID: s.CommR, UnsealedCID: s.CommD,
	}
}

func (s *PoStStatement) sectors() []proof.SectorInfo {
	infos := make([]proof.SectorInfo, len(s.Sectors))
	for i, v := range s.Sectors {
		infos[i] = proof.SectorInfo{SealProof: v.Proof, SectorNumber: v.Number, SealedCID: v.CommR}
	}
	return infos
}

func fromPath(p merkle.Path) Path {
	out := Path{Leaf: p.Leaf}
	for _, e := range p.Elements {
		out.Steps = append(out.Steps, PathElement{each(e.Siblings, toBytes), e.Position})
	}
	return out
}

func (p Path) path() merkle.Path {
	out := merkle.Path{Leaf: merkle.Node(p.Leaf)}
	for _, s := range p.Steps {
		out.Elements = append(out.Elements, merkle.Element{Siblings: each(s.Siblings, toNode), Position: s.Position})
	}
	return out
}

func fromColumn(c porep.Column) Column { return Column{each(c.Labels, toBytes), fromPath(c.Path)} }

func (c Column) column() porep.Column {
	return porep.Column{Labels: each(c.Labels, toNode), Path: c.Path.path()}
}

func fromSeal(p *porep.Proof) *VanillaSeal {
	return &VanillaSeal{p.CommC, p.CommRLast, each(p.Partitions, func(partition []porep.Challenge) []Challenge {
		return each(partition, func(c porep.Challenge) Challenge {
			return Challenge{fromPath(c.Data), fromPath(c.Replica), fromColumn(c.Column), each(c.Parents, fromColumn)}
		})
	})}
}

func (v *VanillaSeal) proof() *porep.Proof {
	return &porep.Proof{CommC: merkle.Node(v.CommC), CommRLast: merkle.Node(v.CommRLast), Partitions: each(v.Partitions, func(partition []Challenge) []porep.Challenge {
		return each(partition, func(c Challenge) porep.Challenge {
			return porep.Challenge{Data: c.Data.path(), Replica: c.Replica.path(), Column: c.Column.column(), Parents: each(c.Parents, Column.column)}
		})
	})}
}

func fromPoSt(p *post.SectorProof) VanillaPoSt {
	return VanillaPoSt{p.CommC, p.CommRLast, each(p.Paths, fromPath)}
}

func (v VanillaPoSt) proof(kind abi.RegisteredPoStProof, n abi.SectorNumber) *post.SectorProof {
	return &post.SectorProof{Proof: kind, Sector: n, CommC: merkle.Node(v.CommC), CommRLast: merkle.Node(v.CommRLast), Paths: each(v.Paths, Path.path)}
}

func toBytes(n merkle.Node) Bytes { return n }
func toNode(b Bytes) merkle.Node  { return merkle.Node(b) }

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
