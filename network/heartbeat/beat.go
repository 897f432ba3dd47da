package heartbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is go-filecoin's; its name has no slash in front.
const Protocol protocol.ID = "fil/heartbeat/1.0.0"

const (
	maxBeat = 16 << 10 // bytes of one beat
	maxText = 256      // characters of one text in it
)

// Beat is how a node does. The first four fields are go-filecoin's.
type Beat struct {
	Head         string // the blocks of the heaviest tipset
	Height       uint64 // its epoch
	Nickname     string // chosen by the operator
	MinerAddress string // empty on a node without a miner

	Network string `json:",omitempty"`
	Agent   string `json:",omitempty"`
	Behind  uint64 // epochs between the head and the clock
	Peers   int    // that have shaken hands
	Healthy bool
	Reason  string `json:",omitempty"` // why it is not healthy
}

var errBeat = errors.New("malformed heartbeat")

// parseBeat reads what a peer sent. Texts lose what would upset a terminal or a log.
func parseBeat(line []byte) (Beat, error) {
	var b Beat
	if len(line) > maxBeat {
		return Beat{}, fmt.Errorf("%w: %d bytes", errBeat, len(line))
	}
	if err := json.Unmarshal(line, &b); err != nil {
		return Beat{}, fmt.Errorf("%w: %w", errBeat, err)
	}
	if b.Peers < 0 {
		return Beat{}, fmt.Errorf("%w: %d peers", errBeat, b.Peers)
	}
	for _, s := range []*string{&b.Head, &b.Nickname, &b.MinerAddress, &b.Network, &b.Agent, &b.Reason} {
		*s = clean(*s)
	}
	return b, nil
}

// clean shortens a text and drops what is not printed as it is.
func clean(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > maxText || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
