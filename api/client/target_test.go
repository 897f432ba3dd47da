package client

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseInfo(t *testing.T) {
	for info, want := range map[string]struct{ token, calls, subs string }{
		"/ip4/1.2.3.4/tcp/1234/http":                   {"", "http://1.2.3.4:1234/rpc/v1", "ws://1.2.3.4:1234/rpc/v1"},
		"eyJ.a.b:/ip4/1.2.3.4/tcp/1234/http":           {"eyJ.a.b", "http://1.2.3.4:1234/rpc/v1", "ws://1.2.3.4:1234/rpc/v1"},
		"t:/ip6/::1/tcp/5":                             {"t", "http://[::1]:5/rpc/v1", "ws://[::1]:5/rpc/v1"},
		"t:/dns4/node.example/tcp/443/wss":             {"t", "https://node.example:443/rpc/v1", "wss://node.example:443/rpc/v1"},
		"/dns/node.example/tcp/443/tls/http":           {"", "https://node.example:443/rpc/v1", "wss://node.example:443/rpc/v1"},
		"http://node.example:1234":                     {"", "http://node.example:1234/rpc/v1", "ws://node.example:1234/rpc/v1"},
		"https://node.example/fil/":                    {"", "https://node.example/fil/rpc/v1", "wss://node.example/fil/rpc/v1"},
		"ws://127.0.0.1:1/rpc/v1":                      {"", "http://127.0.0.1:1/rpc/v1", "ws://127.0.0.1:1/rpc/v1"},
		"tok:wss://node.example":                       {"tok", "https://node.example/rpc/v1", "wss://node.example/rpc/v1"},
		" t:/ip4/1.1.1.1/tcp/1,u:/ip4/2.2.2.2/tcp/2\n": {"t", "http://1.1.1.1:1/rpc/v1", "ws://1.1.1.1:1/rpc/v1"},
	} {
		got, err := ParseInfo(info)
		require.NoError(t, err, info)
		require.Equal(t, want.token, got.Token, info)
		calls, subs, err := got.urls()
		require.NoError(t, err, info)
		require.Equal(t, []string{want.calls, want.subs}, []string{calls, subs}, info)
	}
	for _, info := range []string{"", "token", "token:", "token:nope", "/ip4/1.2.3.4", "/ip4/1.2.3/tcp/5", "/unix/x", "ftp://x", "http://", "/ip4/1.2.3.4/udp/5"} {
		_, err := ParseInfo(info)
		require.Error(t, err, info)
	}
}

func FuzzParseInfo(f *testing.F) {
	for _, s := range []string{"a:/ip4/1.2.3.4/tcp/5/http", "http://x", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := ParseInfo(s); err == nil && got.Addr == "" {
			t.Fatalf("%q has no address", s)
		}
	})
}
