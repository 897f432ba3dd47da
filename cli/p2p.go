package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/porcelain"
)

func (a *app) p2pCmd() *cobra.Command {
	return a.noun("p2p", "Tunnels: carry TCP connections to services of other peers", nil,
		a.p2pListen(), a.p2pForward(), a.p2pClose(), a.p2pLs(), a.p2pStat(),
		a.noun("stream", "Connections that tunnels carry", nil, a.p2pStreamLs(), a.p2pStreamClose()))
}

// allowAny stands for every peer.
const allowAny = "any"

func parseAllow(list []string) (ids []peer.ID, any bool, err error) {
	for _, s := range list {
		if s == allowAny {
			any = true
			continue
		}
		id, err := parsePeerID(s)
		if err != nil {
			return nil, false, err
		}
		ids = append(ids, id)
	}
	return ids, any, nil
}

const p2pListenLong = `Offer a service of this machine to peers.

A peer that forwards a port to PROTOCOL reaches TARGET through this node, as with Kubo's ipfs p2p listen.
TARGET is a multiaddr such as /ip4/127.0.0.1/tcp/22, or host:port.
Only peers named with --allow-peer get through; --allow-peer any lets everyone.
The offer survives a restart of the node, unless it is --ephemeral or --foreground.`

func (a *app) p2pListen() *cobra.Command {
	var allow []string
	var report, custom, foreground, ephemeral bool
	return a.verb(verb{
		use: "listen PROTOCOL TARGET", short: "Offer a service of this machine to peers", long: p2pListenLong,
		example: "  lode p2p listen /x/ssh /ip4/127.0.0.1/tcp/22 --allow-peer 12D3Koo…\n" +
			"  lode p2p listen /x/web 127.0.0.1:8080 --allow-peer any --report-peer-id -f",
		args: cobra.ExactArgs(2),
		flags: func(f *pflag.FlagSet) {
			f.StringArrayVar(&allow, "allow-peer", nil, "a peer that may use it, can be repeated; any for everyone")
			f.BoolVarP(&report, "report-peer-id", "r", false, "send the peer's id and a newline to the target first")
			p2pFlags(f, &custom, &foreground, &ephemeral)
		},
		node: func(ctx context.Context, n api.Node, args []string) error {
			ids, any, err := parseAllow(allow)
			if err != nil {
				return err
			}
			o := &api.P2POffer{
				Protocol: args[0], Target: args[1], Allow: ids, AllowAny: any, ReportPeerID: report,
				AllowCustomProtocol: custom, Ephemeral: ephemeral || foreground,
			}
			if err := n.P2PListen(ctx, o); err != nil {
				return err
			}
			if len(ids) == 0 && !any {
				a.say("no peer may use it: close it and name peers with --allow-peer, or any")
			}
			if foreground {
				id, err := n.ID(ctx)
				if err != nil {
					return err
				}
				a.say("Listening on %s, forwarding to %s, waiting for interrupt...", args[0], args[1])
				return a.hold(ctx, n, "listen", args[0], "listener for "+args[0], api.P2PMatch{Protocol: args[0], ListenAddress: "/p2p/" + id.String()})
			}
			return a.show(o, func(io.Writer) error { return nil })
		},
	})
}

func p2pFlags(f *pflag.FlagSet, custom, foreground, ephemeral *bool) {
	f.BoolVar(custom, "allow-custom-protocol", false, "allow a name outside /x/")
	f.BoolVarP(foreground, "foreground", "f", false, "wait, and remove it at the end")
	f.BoolVar(ephemeral, "ephemeral", false, "forget it when the node stops")
}

const p2pForwardLong = `Forward a local port to a peer's service.

Each connection to LISTEN goes to PROTOCOL on PEER, as with Kubo's ipfs p2p forward.
LISTEN is a multiaddr such as /ip4/127.0.0.1/tcp/3000, or host:port; port 0 takes a free one, which is printed.
PEER is a peer id, /p2p/ID, an address that ends in /p2p/ID, or a DNS address that leads to one peer.
The forward survives a restart of the node, unless it is --ephemeral or --foreground.`

func (a *app) p2pForward() *cobra.Command {
	var custom, foreground, ephemeral bool
	return a.verb(verb{
		use: "forward PROTOCOL LISTEN PEER", short: "Forward a local port to a peer's service", long: p2pForwardLong,
		example: "  lode p2p forward /x/ssh /ip4/127.0.0.1/tcp/2222 /p2p/12D3Koo…\n" +
			"  lode p2p forward /x/web 127.0.0.1:0 /ip4/1.2.3.4/tcp/4001/p2p/12D3Koo… --ephemeral",
		args:  cobra.ExactArgs(3),
		flags: func(f *pflag.FlagSet) { p2pFlags(f, &custom, &foreground, &ephemeral) },
		node: func(ctx context.Context, n api.Node, args []string) error {
			at, err := n.P2PForward(ctx, &api.P2PForwarding{
				Protocol: args[0], Listen: args[1], Target: args[2], AllowCustomProtocol: custom, Ephemeral: ephemeral || foreground,
			})
			if err != nil {
				return err
			}
			if foreground {
				a.say("Forwarding %s to %s, waiting for interrupt...", args[0], at)
				return a.hold(ctx, n, "forward", at, "forwarder for "+args[0], api.P2PMatch{ListenAddress: at})
			}
			return a.show(struct{ Protocol, ListenAddress string }{args[0], at}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, at)
				return err
			})
		},
	})
}

// releaseLimit bounds the removal after an interrupt.
const releaseLimit = 5 * time.Second

// hold waits until the user interrupts, and removes the listener, or until somebody closes it.
func (a *app) hold(ctx context.Context, n api.Node, kind, name, what string, match api.P2PMatch) error {
	news, err := n.P2PHold(ctx, kind, name)
	if err != nil {
		return err
	}
	closed := struct{ Closed string }{name}
	silent := func(io.Writer) error { return nil }
	for {
		select {
		case word, ok := <-news:
			switch {
			case ctx.Err() != nil: // the interrupt closed it
			case !ok:
				return fmt.Errorf("%w: the %s ended with it", porcelain.ErrLost, what)
			case word == "closed":
				a.say("The %s was closed", what)
				return a.show(closed, silent)
			default:
				continue
			}
		case <-ctx.Done():
		}
		a.say("Received interrupt, removing %s", what)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
		defer cancel()
		if _, err := n.P2PClose(ctx, match); err != nil {
			return err
		}
		return a.show(closed, silent)
	}
}

func (a *app) p2pClose() *cobra.Command {
	var m api.P2PMatch
	return a.verb(verb{
		use: "close", short: "Close services offered and ports forwarded",
		long: "Close services offered and ports forwarded: all that fit every option given.\n\nConnections go on until they end by themselves, unless --streams is given.",
		example: "  lode p2p close -p /x/ssh\n" +
			"  lode p2p close --all --streams",
		flags: func(f *pflag.FlagSet) {
			f.StringVarP(&m.Protocol, "protocol", "p", "", "those of a protocol")
			f.StringVarP(&m.ListenAddress, "listen-address", "l", "", "those with a listen address, as lode p2p ls shows it")
			f.StringVarP(&m.TargetAddress, "target-address", "t", "", "those with a target address, as lode p2p ls shows it")
			f.BoolVarP(&m.All, "all", "a", false, "all of them")
			f.BoolVar(&m.Streams, "streams", false, "break their connections too")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			some := m.Protocol != "" || m.ListenAddress != "" || m.TargetAddress != ""
			switch {
			case m.All && some:
				return usagef("can't combine --all with other matching options")
			case !m.All && !some:
				return usagef("no matching options given")
			}
			closed, err := n.P2PClose(ctx, m)
			if err != nil {
				return err
			}
			return a.show(struct{ Closed int }{closed}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Closed %d stream(s)\n", closed)
				return err
			})
		},
	})
}

func (a *app) p2pLs() *cobra.Command {
	var headers bool
	return a.verb(verb{
		use: "ls", short: "List services offered and ports forwarded", aliases: []string{"list"},
		long:    "List services offered and ports forwarded.\n\nThe columns are protocol, listen address and target address, as with Kubo; -v adds the rest and the headings.",
		example: "  lode p2p ls -v",
		flags: func(f *pflag.FlagSet) {
			f.BoolVarP(&headers, "headers", "v", false, "print headings and more columns")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.P2PList(ctx)
			if err != nil {
				return err
			}
			out := struct{ Listeners []api.P2PListener }{list}
			return a.show(out, func(w io.Writer) error {
				if !headers {
					return plainRows(w, len(list), func(i int) []any {
						return []any{list[i].Protocol, list[i].ListenAddress, list[i].TargetAddress}
					})
				}
				var rows [][]string
				for _, l := range list {
					rows = append(rows, []string{l.Protocol, l.ListenAddress, l.TargetAddress, who(l), fmt.Sprint(l.Streams), keptFor(l), dash(l.Problem)})
				}
				return grid(w, []string{"protocol", "listen address", "target address", "who", ">streams", "kept", "problem"}, rows)
			})
		},
	})
}

// plainRows prints rows without headings, for scripts.
func plainRows(w io.Writer, n int, row func(int) []any) error {
	for i := range n {
		if _, err := fmt.Fprintln(w, row(i)...); err != nil {
			return err
		}
	}
	return nil
}

// who says which peers reach a listener.
func who(l api.P2PListener) string {
	switch {
	case l.Kind == "forward":
		return "-"
	case l.AllowAny:
		return "any peer"
	case len(l.Allow) == 0:
		return "nobody"
	case len(l.Allow) == 1:
		return l.Allow[0].String()
	}
	return fmt.Sprintf("%d peers", len(l.Allow))
}

// keptFor says how long a listener lives.
func keptFor(l api.P2PListener) string {
	switch {
	case l.Declared:
		return "settings"
	case l.Ephemeral:
		return "until the node stops"
	}
	return "until closed"
}

func (a *app) p2pStreamLs() *cobra.Command {
	var headers bool
	return a.verb(verb{
		use: "ls", short: "List connections", aliases: []string{"list"},
		long:    "List connections.\n\nThe columns are id, protocol, origin and target, as with Kubo; -v adds the rest and the headings.",
		example: "  lode p2p stream ls -v",
		flags: func(f *pflag.FlagSet) {
			f.BoolVarP(&headers, "headers", "v", false, "print headings and more columns")
		},
		node: func(ctx context.Context, n api.Node, _ []string) error {
			list, err := n.P2PStreams(ctx)
			if err != nil {
				return err
			}
			out := struct{ Streams []api.P2PStream }{list}
			return a.show(out, func(w io.Writer) error {
				if !headers {
					return plainRows(w, len(list), func(i int) []any {
						return []any{list[i].HandlerID, list[i].Protocol, list[i].OriginAddress, list[i].TargetAddress}
					})
				}
				var rows [][]string
				for _, s := range list {
					rows = append(rows, []string{s.HandlerID, s.Protocol, s.OriginAddress, s.TargetAddress, when(s.Opened), size(s.BytesIn), size(s.BytesOut), state(s)})
				}
				return grid(w, []string{">id", "protocol", "origin", "target", "opened", ">in", ">out", "state"}, rows)
			})
		},
	})
}

func state(s api.P2PStream) string {
	if s.SettingUp {
		return "being set up"
	}
	return "open"
}

func (a *app) p2pStreamClose() *cobra.Command {
	var all bool
	return a.verb(verb{
		use: "close [ID]", short: "Break connections",
		example: "  lode p2p stream close 3\n  lode p2p stream close --all",
		args:    cobra.MaximumNArgs(1),
		flags:   func(f *pflag.FlagSet) { f.BoolVarP(&all, "all", "a", false, "all of them") },
		node: func(ctx context.Context, n api.Node, args []string) (err error) {
			closed := 1
			switch {
			case all && len(args) > 0:
				return usagef("give an id or --all, not both")
			case all:
				closed, err = n.P2PStreamCloseAll(ctx)
			case len(args) == 0:
				return usagef("no id specified")
			default:
				var id uint64
				if id, err = strconv.ParseUint(args[0], 10, 64); err != nil {
					return usagef("%q is not a stream's number; lode p2p stream ls lists them", args[0])
				}
				err = n.P2PStreamClose(ctx, id)
			}
			if err != nil {
				return err
			}
			return a.show(struct{ Closed int }{closed}, func(io.Writer) error { return nil })
		},
	})
}

func (a *app) p2pStat() *cobra.Command {
	return a.verb(verb{
		use: "stat", short: "Count what tunnels have carried since the start",
		example: "  lode p2p stat",
		node: func(ctx context.Context, n api.Node, _ []string) error {
			st, err := n.P2PStats(ctx)
			if err != nil {
				return err
			}
			return a.show(st, func(w io.Writer) error { return showP2PStats(w, st) })
		},
	})
}
