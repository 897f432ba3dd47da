package tunnel

import (
	"context"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

func TestAddresses(t *testing.T) {
	for name, c := range map[string]struct{ in, target, listen string }{ // what becomes of it; ! for an error
		"tcp":        {"/ip4/127.0.0.1/tcp/22", "/ip4/127.0.0.1/tcp/22", "/ip4/127.0.0.1/tcp/22"},
		"six":        {"/ip6/::1/tcp/22", "/ip6/::1/tcp/22", "/ip6/::1/tcp/22"},
		"host:port":  {"127.0.0.1:22", "/ip4/127.0.0.1/tcp/22", "/ip4/127.0.0.1/tcp/22"},
		"[six]:port": {"[::1]:22", "/ip6/::1/tcp/22", "/ip6/::1/tcp/22"},
		"name:port":  {"example.org:80", "/dns/example.org/tcp/80", "!IP address"},
		"dns":        {"/dns4/example.org/tcp/80", "/dns4/example.org/tcp/80", "!IP address"},
		"udp":        {"/ip4/127.0.0.1/udp/53", "/ip4/127.0.0.1/udp/53", "!only TCP"},
		"port 0":     {"/ip4/127.0.0.1/tcp/0", "!port can not be 0", "/ip4/127.0.0.1/tcp/0"},
		"no port":    {"/ip4/127.0.0.1", "!does not contain tcp or udp", "!does not contain tcp or udp"},
		"quic":       {"/ip4/127.0.0.1/udp/1/quic-v1", "!want a host and a port", "!want a host and a port"},
		"http":       {"/ip4/127.0.0.1/tcp/1/http", "!want a host and a port", "!want a host and a port"},
		"socket":     {"/unix/tmp/x", "!does not contain", "!does not contain"},
		"only tcp":   {"/tcp/80", "!want a host", "!want a host"},
		"words":      {"nonsense", "!neither", "!neither"},
		"empty":      {"", "!neither", "!neither"},
		":port":      {":80", "!neither", "!neither"},
		"bad port":   {"127.0.0.1:99999", "!multiaddr", "!multiaddr"},
	} {
		t.Run(name, func(t *testing.T) {
			for want, parse := range map[string]func(string) (ma.Multiaddr, error){c.target: ParseTarget, "listen" + c.listen: ParseListen} {
				if len(want) > 6 && want[:6] == "listen" {
					want = want[6:]
				}
				m, err := parse(c.in)
				if want[0] == '!' {
					require.ErrorIs(t, err, ErrAddress)
					require.ErrorContains(t, err, want[1:])
				} else {
					require.NoError(t, err)
					require.Equal(t, want, m.String())
				}
			}
		})
	}
}

const (
	idA = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	idB = "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ"
)

func TestParsePeer(t *testing.T) {
	names := map[string][]string{
		"/dnsaddr/one":  {"/ip4/1.2.3.4/tcp/1/p2p/" + idA, "/ip4/1.2.3.4/udp/1/quic-v1/p2p/" + idA, "/ip4/9.9.9.9"},
		"/dnsaddr/two":  {"/ip4/1.2.3.4/tcp/1/p2p/" + idA, "/ip4/1.2.3.4/tcp/1/p2p/" + idB},
		"/dnsaddr/none": {"/ip4/1.2.3.4/tcp/1"},
	}
	resolve := func(_ context.Context, m ma.Multiaddr) (out []ma.Multiaddr, err error) {
		for _, s := range names[m.String()] {
			out = append(out, ma.StringCast(s))
		}
		return out, nil
	}
	for in, want := range map[string]struct {
		id    string // ! for an error
		addrs int
	}{
		idA: {idA, 0}, "/p2p/" + idA: {idA, 0}, "/ipfs/" + idB: {idB, 0}, "/ip4/1.2.3.4/tcp/1/p2p/" + idA: {idA, 1},
		"/dnsaddr/one": {idA, 2}, "/dnsaddr/two": {"!could refer to", 0}, "/dnsaddr/none": {"!no peer id", 0},
		"/ip4/1.2.3.4/tcp/1": {"!no peer id", 0}, "nobody": {"!no peer id and no multiaddr", 0}, "/x": {"!address", 0}, "": {"!no peer id", 0},
	} {
		info, err := ParsePeer(t.Context(), resolve, in)
		if want.id[0] == '!' {
			require.ErrorIs(t, err, ErrAddress, in)
			require.ErrorContains(t, err, want.id[1:])
			continue
		}
		require.NoError(t, err, in)
		require.Equal(t, want.id, info.ID.String())
		require.Len(t, info.Addrs, want.addrs)
	}
	_, err := ParsePeer(t.Context(), nil, "/dnsaddr/one")
	require.ErrorIs(t, err, ErrAddress)
}

// FuzzParse: whatever an address looks like, it is taken in its own form or refused.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"/ip4/127.0.0.1/tcp/22", "[::1]:22", "/p2p/" + idA, "/dns/x/udp/5", "/ip6zone/x/ip6/fe80::1/tcp/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (ma.Multiaddr, error){ParseTarget, ParseListen} {
			m, err := parse(s)
			if err != nil {
				continue
			}
			again, err := parse(m.String())
			if err != nil || !again.Equal(m) {
				t.Fatalf("%q became %s, which became %v, %v", s, m, again, err)
			}
		}
		_, _ = ParsePeer(t.Context(), nil, s)
		_ = CheckName(s, len(s)%2 == 0)
	})
}
