package groth16

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/lodenet/lode/proofs/internal/vectors"
)

// referenceProof is a proof of the reference's circuit with its key. The file has one an
// entry, beside entries that are text.
type referenceProof struct {
	Proof   vectors.Hex `json:"proof_hex"`
	Key     vectors.Hex `json:"verifying_key_hex"`
	Derived struct {
		Inputs []string `json:"public_inputs"`
	} `json:"derived"`
}

// TestVectorsReferenceProofs: keys and proofs of the reference verify.
func TestVectorsReferenceProofs(t *testing.T) {
	var file map[string]json.RawMessage
	vectors.Load(t, "groth16_reference_proofs.json", &file)
	n := 0
	for name, raw := range file {
		var e referenceProof
		if err := json.Unmarshal(raw, &e); err != nil || e.Proof == nil || e.Key == nil {
			continue // text about the file
		}
		n++
		t.Run(name, func(t *testing.T) {
			vk, err := ParseVerifyingKey(e.Key)
			if err != nil {
				t.Fatal(err)
			}
			inputs := make([]fr.Element, len(e.Derived.Inputs))
			for i, s := range e.Derived.Inputs {
				v, ok := new(big.Int).SetString(s, 0)
				if !ok || v.Cmp(fr.Modulus()) >= 0 {
					t.Fatalf("public input %d is %q", i, s)
				}
				inputs[i].SetBigInt(v)
			}
			for len(e.Proof) > 0 {
				proof := e.Proof[:min(ProofBytes, len(e.Proof))]
				e.Proof = e.Proof[len(proof):]
				if ok, err := vk.Verify(inputs, proof); !ok || err != nil {
					t.Errorf("the reference's proof is refused: %v", err)
				}
				answers, err := VerifyBatch(t.Context(), []Claim{{vk, inputs, proof}, {vk, inputs, proof}})
				if err != nil || answers[0] != nil || answers[1] != nil {
					t.Errorf("in a batch: %v, %v", answers, err)
				}
				for i := range inputs {
					bad := slices.Clone(inputs)
					bad[i].Double(&bad[i])
					if ok, err := vk.Verify(bad, proof); ok || err != nil {
						t.Errorf("input %d changed: got %v, %v", i, ok, err)
					}
				}
			}
			if !slices.Equal(compress(vk), []byte(e.Key)) && !slices.Equal(vk.Bytes(), []byte(e.Key)) {
				t.Error("the key has another encoding")
			}
		})
	}
	if n == 0 {
		t.Error("the file has no proof")
	}
	t.Logf("%d reference proofs with their keys", n)
}

// TestVectorsPublishedProofs: proofs whose keys are not published are well formed, and their
// bytes are the only ones of their points.
func TestVectorsPublishedProofs(t *testing.T) {
	n := 0
	for _, name := range []string{"seal_regression_records.json", "post_window_snark_32gib.json"} {
		var any any
		vectors.Load(t, name, &any)
		walkProofs(any, "", func(where string, b []byte) {
			for ; len(b) >= ProofBytes; b = b[ProofBytes:] {
				n++
				p, err := ParseProof(b[:ProofBytes])
				if err != nil {
					t.Errorf("%s: %s: %v", name, where, err)
				} else if !slices.Equal(p.Bytes(), b[:ProofBytes]) {
					t.Errorf("%s: %s: another encoding", name, where)
				}
			}
		})
	}
	if n == 0 {
		t.Error("no proofs found")
	}
	t.Logf("%d published proofs", n)
}

// walkProofs finds the strings under a name with proof in it that are whole proofs in hex.
func walkProofs(v any, where string, f func(string, []byte)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			walkProofs(e, where+"/"+k, f)
		}
	case []any:
		for _, e := range v {
			walkProofs(e, where, f)
		}
	case string:
		var h vectors.Hex
		if strings.Contains(where, "proof") && h.UnmarshalText([]byte(v)) == nil && len(h) > 0 && len(h)%ProofBytes == 0 {
			f(where, h)
		}
	}
}
