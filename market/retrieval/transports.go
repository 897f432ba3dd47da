package retrieval

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ipfs/go-cid"
	libp2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/lodenet/lode/network/host"
	"github.com/multiformats/go-multiaddr"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// ProtocolTransports tells how content can be had (spec markets.md B.1): the asker writes
// nothing, the answer is one DAG-CBOR object.
const ProtocolTransports protocol.ID = "/fil/retrieval/transports/1.0.0"

const (
	transportsAtOnce   = 16
	transportsDeadline = 30 * time.Second
	maxTransports      = 64 << 10
	maxTransportNames  = 64
	maxTransportAddrs  = 256
)

// Transport is a way to get content, such as http, and where.
type Transport struct {
	Name      string
	Addresses []multiaddr.Multiaddr
}

// answerTransports tells which transports there are. The opener says nothing.
func (s *Server) answerTransports(ctx context.Context, st network.Stream) {
	defer host.Bound(ctx, st)()
	err := st.SetDeadline(time.Now().Add(transportsDeadline))
	if err == nil {
		_, err = st.Write(encodeTransports(s.transports()))
	}
	if err != nil {
		st.Reset()
		return
	}
	st.Close()
}

func (s *Server) transports() []Transport {
	var out []Transport
	if s.cfg.HTTP != nil {
		if a := s.cfg.HTTP(); len(a) > 0 {
			// TLS too goes under the name http (B.1).
			out = append(out, Transport{"http", a})
		}
	}
	if s.cfg.Bitswap {
		out = append(out, Transport{"bitswap", s.host.Addrs()})
	}
	return out
}

func encodeTransports(ts []Transport) []byte {
	var b bytes.Buffer
	w := cbg.NewCborWriter(&b)
	text := func(s string) {
		_ = w.WriteMajorTypeHeader(cbg.MajTextString, uint64(len(s)))
		_, _ = w.WriteString(s)
	}
	_ = w.WriteMajorTypeHeader(cbg.MajMap, 1)
	text("Protocols")
	_ = w.WriteMajorTypeHeader(cbg.MajArray, uint64(len(ts)))
	for _, t := range ts {
		_ = w.WriteMajorTypeHeader(cbg.MajMap, 2)
		text("Name")
		text(t.Name)
		text("Addresses")
		_ = w.WriteMajorTypeHeader(cbg.MajArray, uint64(len(t.Addresses)))
		for _, a := range t.Addresses {
			_ = cbg.WriteByteArray(w, a.Bytes())
		}
	}
	return b.Bytes()
}

// QueryTransports asks a peer how it gives content.
func QueryTransports(ctx context.Context, h libp2phost.Host, p peer.ID) ([]Transport, error) {
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, string(ProtocolTransports)), transportsDeadline)
	defer cancel()
	st, err := h.NewStream(ctx, p, ProtocolTransports)
	if err != nil {
		return nil, err
	}
	defer st.Reset()
	defer host.Bound(ctx, st)()
	_ = st.CloseWrite() // fails when the peer is done with the stream; the answer tells how
	ts, err := decodeTransports(io.LimitReader(st, maxTransports))
	if err != nil {
		return nil, fmt.Errorf("transports of %s: %w", p, err)
	}
	return ts, nil
}

// decodeTransports reads {"Protocols": [{"Name": text, "Addresses": [bytes…]}…]}; keys in
// any order, others skipped, addresses that are none left out.
func decodeTransports(r io.Reader) ([]Transport, error) {
	cr := cbg.NewCborReader(r)
	var out []Transport
	err := forMap(cr, func(key string) (bool, error) {
		if key != "Protocols" {
			return false, nil
		}
		n, err := header(cr, cbg.MajArray, maxTransportNames)
		for i := uint64(0); err == nil && i < n; i++ {
			var t Transport
			if t, err = decodeTransport(cr); err == nil {
				out = append(out, t)
			}
		}
		return true, err
	})
	return out, err
}

func decodeTransport(r *cbg.CborReader) (t Transport, err error) {
	err = forMap(r, func(key string) (bool, error) {
		switch key {
		case "Name":
			t.Name, err = cbg.ReadStringWithMax(r, 256)
			return true, err
		case "Addresses":
			n, err := header(r, cbg.MajArray, maxTransportAddrs)
			for i := uint64(0); err == nil && i < n; i++ {
				var b []byte
				if b, err = cbg.ReadByteArray(r, 1024); err == nil {
					if a, aerr := multiaddr.NewMultiaddrBytes(b); aerr == nil {
						t.Addresses = append(t.Addresses, a)
					}
				}
			}
			return true, err
		}
		return false, nil
	})
	return t, err
}

// forMap calls f with each key of a map; f reads the value or returns false to skip it.
func forMap(r *cbg.CborReader, f func(key string) (bool, error)) error {
	n, err := header(r, cbg.MajMap, 64)
	for i := uint64(0); err == nil && i < n; i++ {
		var key string
		if key, err = cbg.ReadStringWithMax(r, 256); err != nil {
			return err
		}
		var read bool
		if read, err = f(key); err == nil && !read {
			err = cbg.ScanForLinks(r, func(cid.Cid) {})
		}
	}
	return err
}

func header(r *cbg.CborReader, want byte, most uint64) (uint64, error) {
	maj, n, err := r.ReadHeader()
	if err != nil {
		return 0, err
	}
	if maj != want || n > most {
		return 0, fmt.Errorf("CBOR major type %d of length %d where %d is expected", maj, n, want)
	}
	return n, nil
}
