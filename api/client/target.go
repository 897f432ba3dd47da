package client

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/lodenet/lode/repo"
)

// Target is where a node answers and what lets us in.
type Target struct {
	Addr  string // multiaddr or URL
	Token string // may be empty: then only reading is allowed
}

// FromRepo is the node that runs on a repo.
func FromRepo(dir string) (Target, error) {
	addr, token, err := repo.Endpoint(dir)
	return Target{addr, token}, err
}

// ParseInfo reads an API-info string, token:address with the token left out at will (spec
// api.md A.3). Of a list separated by commas the first counts.
func ParseInfo(info string) (Target, error) {
	info, _, _ = strings.Cut(strings.TrimSpace(info), ",")
	t := Target{Addr: info}
	if token, addr, ok := strings.Cut(info, ":"); ok && !strings.HasPrefix(info, "/") && !strings.HasPrefix(addr, "//") {
		t = Target{Addr: addr, Token: token}
	}
	_, _, err := t.urls()
	return t, err
}

// urls are the addresses for calls and for subscriptions.
func (t Target) urls() (calls, subs string, err error) {
	host, secure, path := "", false, ""
	if strings.HasPrefix(t.Addr, "/") {
		host, secure, err = dialArgs(t.Addr)
		if err != nil {
			return "", "", err
		}
	} else {
		u, err := url.Parse(t.Addr)
		if err != nil {
			return "", "", fmt.Errorf("api address %q: %w", t.Addr, err)
		}
		switch u.Scheme {
		case "http", "ws":
		case "https", "wss":
			secure = true
		default:
			return "", "", fmt.Errorf("api address %q is neither a multiaddr nor an http or ws URL", t.Addr)
		}
		if u.Host == "" {
			return "", "", fmt.Errorf("api address %q names no host", t.Addr)
		}
		host, path = u.Host, strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/rpc/v1")
	}
	s := ""
	if secure {
		s = "s"
	}
	return "http" + s + "://" + host + path + "/rpc/v1", "ws" + s + "://" + host + path + "/rpc/v1", nil
}

// dialArgs takes host and port out of a multiaddr such as /dns4/node.example/tcp/443/wss.
func dialArgs(text string) (host string, secure bool, err error) {
	bad := func(why string) (string, bool, error) {
		return "", false, fmt.Errorf("api address %q %s; write for example /ip4/127.0.0.1/tcp/1234/http", text, why)
	}
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return bad("is not a multiaddr: " + err.Error())
	}
	var port string
	for _, c := range m {
		switch c.Protocol().Code {
		case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
			host = c.Value()
		case ma.P_TCP:
			port = c.Value()
		case ma.P_TLS, ma.P_WSS, ma.P_HTTPS:
			secure = true
		}
	}
	if host == "" || port == "" {
		return bad("names no host and TCP port")
	}
	return net.JoinHostPort(host, port), secure, nil
}
