package fr32_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/lodenet/lode/proofs/fr32"
	"github.com/lodenet/lode/proofs/internal/vectors"
)

func TestVectorsFr32(t *testing.T) {
	var f struct {
		Vectors []struct {
			Name   string      `json:"name"`
			Input  vectors.Hex `json:"input_hex"`
			Padded vectors.Hex `json:"padded_hex"`
		} `json:"vectors"`
		FrSafe struct {
			Valid   []vectors.Node `json:"valid_le_hex"`
			Invalid []vectors.Node `json:"invalid_le_hex"`
		} `json:"fr_safe"`
	}
	set := vectors.Load(t, "fr32.json", &f)

	for _, v := range f.Vectors {
		set.Run(t, "pad/"+v.Name, func(t *testing.T) {
			// The padding of a payload that does not fill its chunks is that of zeros behind it.
			payload := append(bytes.Clone(v.Input), make([]byte, len(v.Padded)/fr32.Padded*fr32.Unpadded-len(v.Input))...)
			got := make([]byte, len(v.Padded))
			fr32.Pad(got, payload)
			if !bytes.Equal(got, v.Padded) {
				t.Errorf("got %x, want %x", got, v.Padded)
			}
			back := make([]byte, len(payload))
			fr32.Unpad(back, got)
			if !bytes.Equal(back, payload) {
				t.Errorf("unpadded: got %x, want %x", back, payload)
			}
		})
	}
	for i, n := range f.FrSafe.Valid {
		set.Run(t, fmt.Sprintf("valid/%d", i), func(t *testing.T) {
			e, err := fr32.Element((*fr32.Node)(&n))
			if err != nil || fr32.Bytes(&e) != fr32.Node(n) {
				t.Errorf("got %x, %v", fr32.Bytes(&e), err)
			}
		})
	}
	for i, n := range f.FrSafe.Invalid {
		set.Run(t, fmt.Sprintf("invalid/%d", i), func(t *testing.T) {
			if _, err := fr32.Element((*fr32.Node)(&n)); err == nil {
				t.Error("was accepted")
			}
		})
	}
}
