package beacon

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
)

// The check values are those of spec chain.md d.10.
func TestDraw(t *testing.T) {
	for _, c := range []struct {
		base    []byte
		tag     crypto.DomainSeparationTag
		epoch   abi.ChainEpoch
		entropy string
		want    string
	}{
		{bytes.Repeat([]byte{1}, 32), 1, 10, "4300e807", "732e37350de51d22212c9edc4073535aa95f103f235f12d5759edd71c42a4c7b"},
		{nil, 5, -1, "", "4eef19a4dd03307e40cb6cdc12944660a69fa5f424c23516018fff0f868ef174"},
	} {
		entropy, err := hex.DecodeString(c.entropy)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(Draw(c.base, c.tag, c.epoch, entropy)); got != c.want {
			t.Errorf("tag %d at %d: got %s, want %s", c.tag, c.epoch, got, c.want)
		}
	}
}
