package transfer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/gostream"
	"github.com/multiformats/go-multiaddr"
)

const (
	// stall ends a transfer that brings nothing for so long.
	stall        = 5 * time.Minute
	maxRedirects = 2
)

// Fatal is an error that trying again does not help.
type Fatal struct{ Err error }

func (e Fatal) Error() string { return e.Err.Error() }
func (e Fatal) Unwrap() error { return e.Err }

func fatalf(format string, args ...any) error { return Fatal{fmt.Errorf(format, args...)} }

// Source is where data is.
type Source struct {
	URL     string // http, https, or libp2p://<multiaddr with /p2p/>
	Headers map[string]string
	Size    uint64 // bytes, exactly
}

// BasicAuth is the Authorization header of a token.
func BasicAuth(token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+token))
}

// PeerURL is the URL of a peer's transfer server.
func PeerURL(p peer.ID, addr multiaddr.Multiaddr) string {
	return "libp2p://" + addr.String() + "/p2p/" + p.String()
}

// Getter fetches data. Safe from many goroutines.
type Getter struct {
	host       host.Host
	publicOnly bool
}

// NewGetter makes a getter. Host serves libp2p URLs. publicOnly refuses plain HTTP to
// loopback, private and link-local addresses, so that a client cannot make the provider
// call services of its own network.
func NewGetter(h host.Host, publicOnly bool) *Getter { return &Getter{h, publicOnly} }

// Get brings the file at path to the source's size, going on after the bytes it has, and
// syncs it. progress gets the bytes present and may be nil. A Fatal error means that the
// source is not what was promised; any other may be tried again.
func (g *Getter) Get(ctx context.Context, s Source, path string, progress func(have uint64)) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	if uint64(have) > s.Size {
		return fatalf("transfer: the staged file has %d bytes, the deal says %d", have, s.Size)
	}
	if uint64(have) < s.Size || s.Size == 0 {
		if err := g.fetch(ctx, s, f, uint64(have), progress); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	return f.Close()
}

func (g *Getter) fetch(ctx context.Context, s Source, f *os.File, have uint64, progress func(uint64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("transfer: nothing came for %s", stall)) })
	defer watch.Stop()

	client, target, err := g.client(ctx, s.URL)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fatalf("transfer: %w", err)
	}
	for k, v := range s.Headers {
		req.Header.Set(k, v)
	}
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("transfer: %w", cause(ctx, err))
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusPartialContent && have > 0:
		if !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
			return fmt.Errorf("transfer: asked for bytes from %d on, got %q", have, res.Header.Get("Content-Range"))
		}
	case res.StatusCode == http.StatusOK:
		// The server knows no ranges: from the start again.
		have = 0
		if err := errors.Join(f.Truncate(0), seekStart(f)); err != nil {
			return fmt.Errorf("staging: %w", err)
		}
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return fatalf("transfer: the client's server refuses: %s", res.Status)
	default:
		return fmt.Errorf("transfer: the client's server says %s", res.Status)
	}
	return g.copy(ctx, s, f, res.Body, have, func(n uint64) {
		watch.Reset(stall)
		if progress != nil {
			progress(n)
		}
	})
}

func (g *Getter) copy(ctx context.Context, s Source, f *os.File, body io.Reader, have uint64, alive func(uint64)) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := body.Read(buf)
		if have+uint64(n) > s.Size {
			return fatalf("transfer: the data has more than the %d bytes that the deal says", s.Size)
		}
		if _, werr := f.Write(buf[:n]); werr != nil {
			return fmt.Errorf("staging: %w", werr)
		}
		have += uint64(n)
		if n > 0 {
			alive(have)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("transfer: after %d of %d bytes: %w", have, s.Size, cause(ctx, err))
		}
	}
	if have < s.Size {
		return fmt.Errorf("transfer: ended after %d of %d bytes: %w", have, s.Size, io.ErrUnexpectedEOF)
	}
	return nil
}

// client makes an HTTP client for one request, and the URL it is to be given.
func (g *Getter) client(ctx context.Context, raw string) (*http.Client, string, error) {
	if addr, ok := strings.CutPrefix(raw, "libp2p://"); ok {
		ai, err := peer.AddrInfoFromString(addr)
		if err != nil {
			return nil, "", fatalf("transfer: URL %q: %w", raw, err)
		}
		if g.host == nil {
			return nil, "", fatalf("transfer: URL %q: this node has no libp2p host", raw)
		}
		return &http.Client{Transport: StreamTransport(g.host, *ai, Protocol)}, "http://" + ai.ID.String() + "/", nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, "", fatalf("transfer: URL %q is not http, https or libp2p", raw)
	}
	d := &net.Dialer{Timeout: 30 * time.Second}
	if g.publicOnly {
		d.Control = refusePrivate
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: d.DialContext, ResponseHeaderTimeout: time.Minute},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}, raw, nil
}

// refusePrivate looks at the address that is dialled, after names are resolved.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	h, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(h)
	if ip == nil || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() {
		return fatalf("transfer: %s is a private address, and this provider fetches from public ones only", h)
	}
	return nil
}

// StreamTransport carries HTTP requests on streams of a protocol to one peer, whatever the
// URL's host is. A stream serves one request.
func StreamTransport(h host.Host, to peer.AddrInfo, id protocol.ID) *http.Transport {
	return &http.Transport{
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if len(to.Addrs) > 0 {
				h.Peerstore().AddAddrs(to.ID, to.Addrs, peerstore.TempAddrTTL)
			}
			ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, string(id)), 30*time.Second)
			defer cancel()
			c, err := gostream.Dial(ctx, h, to.ID, id)
			if err != nil {
				return nil, err
			}
			return resetConn{c}, nil
		},
	}
}

// resetConn resets the stream when the request is over: a response that is not wanted to
// its end must not keep the other side writing.
type resetConn struct{ net.Conn }

func (c resetConn) Close() error {
	if s, ok := c.Conn.(interface{ Reset() error }); ok {
		return s.Reset()
	}
	return c.Conn.Close()
}

func seekStart(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// cause prefers why the context ended.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}
