package main

import (
	"fmt"
	"os"

	"github.com/lodenet/lode/chain/types"
	gen "github.com/whyrusleeping/cbor-gen"
)

func main() {
	err := gen.WriteTupleEncodersToFile("cbor_gen.go", "types",
		types.Message{}, types.SignedMessage{}, types.MessageReceipt{},
		types.Ticket{}, types.ElectionProof{}, types.BeaconEntry{},
		types.BlockHeader{}, types.MsgMeta{}, types.BlockMsg{},
		types.Actor{}, types.StateRoot{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "chain/types/gen:", err)
		os.Exit(1)
	}
}
