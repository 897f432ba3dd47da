package main

import (
	"fmt"
	"os"

	"github.com/lodenet/lode/market/deal"
	gen "github.com/whyrusleeping/cbor-gen"
)

func main() {
	err := gen.WriteMapEncodersToFile("wire_gen.go", "deal",
		deal.Params{}, deal.Transfer{}, deal.Response{},
		deal.StatusRequest{}, deal.StatusResponse{}, deal.Status{},
		deal.AskRequest{}, deal.AskResponse{}, deal.SignedAsk{}, deal.Ask{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "market/deal/gen:", err)
		os.Exit(1)
	}
}
