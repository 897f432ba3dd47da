package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/lodenet/lode/chain/sync/exchange"
	"github.com/lodenet/lode/chain/sync/hello"
	gen "github.com/whyrusleeping/cbor-gen"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chain/sync/gen:", err)
		os.Exit(1)
	}
}

func run() error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	switch name := filepath.Base(wd); name {
	case "hello":
		return gen.WriteTupleEncodersToFile("cbor_gen.go", name, hello.Message{}, hello.Answer{})
	case "exchange":
		return gen.WriteTupleEncodersToFile("cbor_gen.go", name,
			exchange.Request{}, exchange.Response{}, exchange.TipSet{}, exchange.CompactedMessages{})
	default:
		return fmt.Errorf("%s is not a folder with codecs", wd)
	}
}
