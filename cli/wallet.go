package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/crypto"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) walletCmd() *cobra.Command {
	return a.noun("wallet", "The node's keys and their money", nil,
		a.walletNew(), a.walletLs(), a.walletBalance(), a.walletDefault(), a.walletExport(), a.walletImport(), a.walletRm(), a.walletSign(), a.walletVerify())
}

// showAddress prints one address.
func (a *app) showAddress(addr address.Address) error {
	return a.show(struct{ Address address.Address }{addr}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, addr)
		return err
	})
}

func (a *app) walletNew() *cobra.Command {
	return a.verb(verb{
		use: "new [secp256k1|bls]", short: "Make a key",
		example: "  lode wallet new\n  lode wallet new bls",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			kind := api.KeySecp256k1
			if len(args) == 1 {
				kind = api.KeyType(args[0])
			}
			if kind != api.KeyBLS && kind != api.KeySecp256k1 {
				return usagef("%q is not secp256k1 or bls", kind)
			}
			addr, err := n.WalletNew(ctx, kind)
			if err != nil {
				return err
			}
			return a.showAddress(addr)
		},
	})
}

// walletRow is an address of the wallet.
type walletRow struct {
	Address address.Address
	Balance abi.TokenAmount
	Nonce   uint64
	Default bool
}

func (a *app) walletLs() *cobra.Command {
	var bare bool
	return a.verb(verb{
		use: "ls", short: "List the addresses", aliases: []string{"list"},
		example: "  lode wallet ls",
		flags:   func(f *pflag.FlagSet) { f.BoolVarP(&bare, "addr-only", "a", false, "only the addresses") },
		node: func(ctx context.Context, n api.Node, _ []string) error {
			addrs, err := n.WalletList(ctx)
			if err != nil {
				return err
			}
			def, err := n.WalletDefaultAddress(ctx)
			if err != nil {
				def = address.Undef // none is set
			}
			list := []walletRow{}
			for _, addr := range addrs {
				row := walletRow{Address: addr, Default: addr == def}
				if !bare {
					if row.Balance, err = n.WalletBalance(ctx, addr); err != nil {
						return err
					}
					if row.Nonce, err = n.MpoolGetNonce(ctx, addr); err != nil {
						return err
					}
				}
				list = append(list, row)
			}
			return a.show(list, func(w io.Writer) error {
				if bare {
					for _, r := range list {
						if _, err := fmt.Fprintln(w, r.Address); err != nil {
							return err
						}
					}
					return nil
				}
				var rows [][]string
				for _, r := range list {
					mark := ""
					if r.Default {
						mark = "*"
					}
					rows = append(rows, []string{r.Address.String(), fil(r.Balance), fmt.Sprint(r.Nonce), mark})
				}
				return grid(w, []string{"address", ">balance", ">nonce", "default"}, rows)
			})
		},
	})
}

func (a *app) walletBalance() *cobra.Command {
	return a.verb(verb{
		use: "balance [ADDRESS]", short: "Show what an address can spend",
		example: "  lode wallet balance\n  lode wallet balance t1abc…",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := sender(ctx, n, first(args))
			if err != nil {
				return err
			}
			v, err := n.WalletBalance(ctx, addr)
			if err != nil {
				return err
			}
			return a.show(&struct {
				Address address.Address
				Balance abi.TokenAmount
			}{addr, v}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, fil(v))
				return err
			})
		},
	})
}

func (a *app) walletDefault() *cobra.Command {
	return a.verb(verb{
		use: "default [ADDRESS]", short: "Show or choose the address used when none is named", aliases: []string{"set-default"},
		example: "  lode wallet default\n  lode wallet default t1abc…",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			if len(args) == 1 {
				addr, err := parseAddress(args[0])
				if err != nil {
					return err
				}
				if err := n.WalletSetDefault(ctx, addr); err != nil {
					return err
				}
			}
			addr, err := n.WalletDefaultAddress(ctx)
			if err != nil {
				return err
			}
			return a.showAddress(addr)
		},
	})
}

func (a *app) walletExport() *cobra.Command {
	return a.verb(verb{
		use: "export ADDRESS", short: "Print a secret key in the usual hex form",
		long:    "Print a secret key in the usual hex form. Whoever has it can spend the money.",
		example: "  lode wallet export t1abc… --yes > key",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			if err := a.confirm("print the secret key of " + addr.String()); err != nil {
				return err
			}
			k, err := n.WalletExport(ctx, addr)
			if err != nil {
				return err
			}
			text, err := k.Hex()
			if err != nil {
				return err
			}
			return a.show(k, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, text)
				return err
			})
		},
	})
}

// keyLimit bounds a key file, in bytes.
const keyLimit = 64 << 10

func (a *app) walletImport() *cobra.Command {
	var asDefault bool
	return a.verb(verb{
		use: "import [FILE]", short: "Take in a secret key, in hex or JSON, from a file or standard input",
		example: "  lode wallet import key --as-default\n  lode wallet export t1abc… --yes | lode --repo other wallet import",
		args:    cobra.MaximumNArgs(1),
		flags:   func(f *pflag.FlagSet) { f.BoolVar(&asDefault, "as-default", false, "use it when no address is named") },
		node: func(ctx context.Context, n api.Node, args []string) error {
			in := a.In
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close() // read only
				in = f
			}
			b, err := io.ReadAll(io.LimitReader(in, keyLimit))
			if err != nil {
				return err
			}
			k, err := api.ParseKeyInfo(string(b))
			if err != nil {
				return err
			}
			addr, err := n.WalletImport(ctx, k)
			if err != nil {
				return err
			}
			if asDefault {
				if err := n.WalletSetDefault(ctx, addr); err != nil {
					return err
				}
			}
			return a.showAddress(addr)
		},
	})
}

func (a *app) walletRm() *cobra.Command {
	return a.verb(verb{
		use: "rm ADDRESS", short: "Take a key out of use; a copy stays in the keystore's trash", aliases: []string{"delete"},
		example: "  lode wallet rm t1abc… --yes",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			if err := a.confirm("remove the key of " + addr.String()); err != nil {
				return err
			}
			if err := n.WalletDelete(ctx, addr); err != nil {
				return err
			}
			return a.showAddress(addr)
		},
	})
}

func (a *app) walletSign() *cobra.Command {
	return a.verb(verb{
		use: "sign ADDRESS HEX", short: "Sign bytes; the signature is hex with its type first",
		example: "  lode wallet sign t1abc… 48656c6c6f",
		args:    cobra.ExactArgs(2),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			data, err := hex.DecodeString(args[1])
			if err != nil {
				return usagef("%q is not hex: %w", args[1], err)
			}
			sig, err := n.WalletSign(ctx, addr, data)
			if err != nil {
				return err
			}
			return a.show(sig, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%02x%x\n", byte(sig.Type), sig.Data)
				return err
			})
		},
	})
}

func (a *app) walletVerify() *cobra.Command {
	return a.verb(verb{
		use: "verify ADDRESS HEX SIGNATURE", short: "Tell whether a signature is good",
		long:    "Tell whether a signature is good. A bad one is an error, so the exit code tells too.",
		example: "  lode wallet verify t1abc… 48656c6c6f 01ab…",
		args:    cobra.ExactArgs(3),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			data, err := hex.DecodeString(args[1])
			if err != nil {
				return usagef("%q is not hex: %w", args[1], err)
			}
			raw, err := hex.DecodeString(args[2])
			if err != nil || len(raw) < 2 {
				return usagef("%q is not a signature in hex with its type first", args[2])
			}
			ok, err := n.WalletVerify(ctx, addr, data, &crypto.Signature{Type: crypto.SigType(raw[0]), Data: raw[1:]})
			if err != nil {
				return err
			}
			if err := a.show(struct{ Valid bool }{ok}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, map[bool]string{true: "valid", false: "not valid"}[ok])
				return err
			}); err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("the signature is not one of %s over these bytes", addr)
			}
			return nil
		},
	})
}

func (a *app) marketCmd() *cobra.Command {
	return a.noun("market", "Money set aside for deals", nil, a.marketBalance(), a.marketMove(true), a.marketMove(false))
}

func (a *app) marketBalance() *cobra.Command {
	return a.verb(verb{
		use: "balance [ADDRESS]", short: "Show an address's escrow in the market actor",
		example: "  lode market balance t01000",
		args:    cobra.MaximumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			addr, err := sender(ctx, n, first(args))
			if err != nil {
				return err
			}
			b, err := n.StateMarketBalance(ctx, addr, types.TipSetKey{})
			if err != nil {
				return err
			}
			return a.show(&b, func(w io.Writer) error { return fields(w, "Escrow", fil(b.Escrow), "Locked", fil(b.Locked)) })
		},
	})
}

func (a *app) marketMove(add bool) *cobra.Command {
	var from, address string
	use, what, example := "add AMOUNT", "Move money into escrow", "  lode market add 2.5 --yes"
	if !add {
		use, what, example = "withdraw AMOUNT", "Move money that no deal locks back out of escrow", "  lode market withdraw 1 --yes"
	}
	return a.verb(verb{
		use: use, short: what, example: example,
		args: cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&from, "from", "", "address that sends the message (default: the wallet's default)")
			f.StringVar(&address, "address", "", "whose escrow (default: that of --from)")
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			amount, err := parseAmount(args[0])
			if err != nil {
				return err
			}
			wallet, err := sender(ctx, n, from)
			if err != nil {
				return err
			}
			addr := wallet
			if address != "" {
				if addr, err = parseAddress(address); err != nil {
					return err
				}
			}
			if err := a.confirm(fmt.Sprintf("%s: %s, escrow of %s", what, fil(amount), addr)); err != nil {
				return err
			}
			move := n.MarketAddBalance
			if !add {
				move = n.MarketWithdraw
			}
			c, err := move(ctx, wallet, addr, amount)
			if err != nil {
				return err
			}
			return a.showCid(c)
		},
	})
}
