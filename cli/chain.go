package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/chain/types"
)

func (a *app) chainCmd() *cobra.Command {
	return a.noun("chain", "Blocks, tipsets and objects", nil,
		a.chainHead(), a.chainLs(), a.chainShow(), a.chainBlock(), a.chainMessage(), a.chainReadObj())
}

func (a *app) chainHead() *cobra.Command {
	return a.verb(verb{
		use: "head", short: "Show the head of the chain",
		example: "  lode chain head",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			ts, err := n.ChainHead(ctx)
			if err != nil {
				return err
			}
			return a.showTipSet(ts)
		},
	})
}

func (a *app) showTipSet(ts *types.TipSet) error {
	return a.show(ts, func(w io.Writer) error {
		if err := fields(w, "Height", fmt.Sprint(ts.Height()), "Time", when(time.Unix(int64(ts.MinTimestamp()), 0)),
			"Parents", short(ts.Parents()), "Weight", ts.ParentWeight().String(), "Base fee", price(ts.BaseFee())); err != nil {
			return err
		}
		rows := make([][]string, 0, len(ts.Blocks()))
		for _, b := range ts.Blocks() {
			wins := "-"
			if b.ElectionProof != nil {
				wins = fmt.Sprint(b.ElectionProof.WinCount)
			}
			rows = append(rows, []string{b.Cid().String(), b.Miner.String(), wins})
		}
		return grid(w, []string{"block", "miner", ">wins"}, rows)
	})
}

// short lists the blocks of a key by the ends of their CIDs.
func short(k types.TipSetKey) string {
	var parts []string
	for _, c := range k.Cids() {
		s := c.String()
		parts = append(parts, "…"+s[len(s)-8:])
	}
	return strings.Join(parts, " ")
}

func (a *app) chainLs() *cobra.Command {
	var count int
	var height int64
	return a.verb(verb{
		use: "ls", short: "List tipsets, newest first", aliases: []string{"list"},
		example: "  lode chain ls --count 5\n  lode chain ls --height 100",
		flags: func(f *pflag.FlagSet) {
			f.IntVar(&count, "count", 30, "how many")
			f.Int64Var(&height, "height", -1, "begin at this epoch (-1: the head)")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			ts, err := n.ChainHead(ctx)
			if err == nil && height >= 0 {
				ts, err = n.ChainGetTipSetByHeight(ctx, abi.ChainEpoch(height), ts.Key())
			}
			if err != nil {
				return err
			}
			list := []*types.TipSet{}
			for len(list) < count {
				list = append(list, ts)
				if ts.Height() == 0 {
					break
				}
				if ts, err = n.ChainGetTipSet(ctx, ts.Parents()); err != nil {
					return err
				}
			}
			return a.show(list, func(w io.Writer) error {
				var rows [][]string
				for _, ts := range list {
					var blocks []string
					for _, b := range ts.Blocks() {
						blocks = append(blocks, b.Cid().String()+": "+b.Miner.String())
					}
					rows = append(rows, []string{fmt.Sprint(ts.Height()), when(time.Unix(int64(ts.MinTimestamp()), 0)), strings.Join(blocks, ", ")})
				}
				return grid(w, []string{">height", "time", "blocks"}, rows)
			})
		},
	})
}

func (a *app) chainShow() *cobra.Command {
	return a.verb(verb{
		use: "show REF", short: "Show a tipset, by @HEIGHT, head, or the CIDs of its blocks", aliases: []string{"get"},
		example: "  lode chain show @100\n  lode chain show head\n  lode chain show bafy2bza…",
		args:    cobra.MinimumNArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			ts, err := a.tipset(ctx, n, args)
			if err != nil {
				return err
			}
			return a.showTipSet(ts)
		},
	})
}

// tipset finds what REF names.
func (a *app) tipset(ctx context.Context, n api.Chain, args []string) (*types.TipSet, error) {
	at, isHeight := strings.CutPrefix(args[0], "@")
	switch {
	case len(args) == 1 && (args[0] == "head" || args[0] == "@head"):
		return n.ChainHead(ctx)
	case isHeight && len(args) == 1:
		h, err := strconv.ParseInt(at, 10, 64)
		if err != nil || h < 0 {
			return nil, usagef("%q is not @ and an epoch", args[0])
		}
		return n.ChainGetTipSetByHeight(ctx, abi.ChainEpoch(h), types.TipSetKey{})
	}
	key := types.TipSetKey{}
	for _, s := range args {
		c, err := parseCid(s)
		if err != nil {
			return nil, err
		}
		key = types.NewTipSetKey(append(key.Cids(), c)...)
	}
	return n.ChainGetTipSet(ctx, key)
}

func (a *app) chainBlock() *cobra.Command {
	return a.verb(verb{
		use: "block CID", short: "Show a block and its messages", aliases: []string{"getblock", "get-block"},
		example: "  lode chain block bafy2bza… --json",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			h, err := n.ChainGetBlock(ctx, c)
			if err != nil {
				return err
			}
			msgs, err := n.ChainGetBlockMessages(ctx, c)
			if err != nil {
				return err
			}
			out := &struct {
				Header   *types.BlockHeader
				Messages *api.BlockMessages
			}{h, msgs}
			return a.show(out, func(w io.Writer) error {
				if err := fields(w, "Block", c.String(), "Height", fmt.Sprint(h.Height), "Miner", h.Miner.String(),
					"Time", when(time.Unix(int64(h.Timestamp), 0)), "Parents", types.NewTipSetKey(h.Parents...).String(),
					"Parent state", h.ParentStateRoot.String(), "Base fee", price(h.ParentBaseFee)); err != nil {
					return err
				}
				all := make([]*types.Message, 0, len(msgs.Cids))
				all = append(all, msgs.BlsMessages...)
				for _, m := range msgs.SecpkMessages {
					all = append(all, &m.Message)
				}
				rows := make([][]string, 0, len(all))
				for i, m := range all {
					rows = append(rows, []string{msgs.Cids[i].String(), m.From.String(), fmt.Sprint(m.Nonce), m.To.String(), fil(m.Value), fmt.Sprint(m.Method)})
				}
				return grid(w, []string{"message", "from", ">nonce", "to", ">value", ">method"}, rows)
			})
		},
	})
}

func (a *app) chainMessage() *cobra.Command {
	return a.verb(verb{
		use: "message CID", short: "Show a message", aliases: []string{"getmessage", "get-message"},
		example: "  lode chain message bafy2bza…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			m, err := n.ChainGetMessage(ctx, c)
			if err != nil {
				return err
			}
			return a.show(m, func(w io.Writer) error { return showMessage(w, m) })
		},
	})
}

func showMessage(w io.Writer, m *types.Message) error {
	return fields(w, "From", m.From.String(), "To", m.To.String(), "Nonce", fmt.Sprint(m.Nonce), "Value", fil(m.Value),
		"Method", fmt.Sprint(m.Method), "Params", hex.EncodeToString(m.Params), "Gas limit", fmt.Sprint(m.GasLimit),
		"Fee cap", price(m.GasFeeCap), "Premium", price(m.GasPremium), "Gas at most", fil(m.RequiredFunds()))
}

func (a *app) chainReadObj() *cobra.Command {
	return a.verb(verb{
		use: "read-obj CID", short: "Print the bytes of a stored object in hex",
		example: "  lode chain read-obj bafy2bza…",
		args:    cobra.ExactArgs(1),
		node: func(ctx context.Context, n api.Node, args []string) error {
			c, err := parseCid(args[0])
			if err != nil {
				return err
			}
			b, err := n.ChainReadObj(ctx, c)
			if err != nil {
				return err
			}
			return a.show(struct{ Data []byte }{b}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, hex.EncodeToString(b))
				return err
			})
		},
	})
}
