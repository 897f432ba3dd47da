package exchange

import (
	"bytes"
	"testing"

	"github.com/lodenet/lode/chain/sync/chaintest"
	"github.com/lodenet/lode/network/dispatch"
	"github.com/lodenet/lode/network/host/hosttest"
)

// seeds are an honest request and its answers.
func seeds(f *testing.F) (requests, responses [][]byte) {
	chain := chaintest.New(f)
	head := chain.Extend(chain.Genesis(), 4, 2, "a")
	s := NewServer(nil, chain, dispatch.New(), (&session{}).Report, hosttest.Quiet())
	for _, options := range []uint64{Headers, Messages, Headers | Messages, 0} {
		req := Request{Head: head.Cids(), Length: 4, Options: options}
		var q, r bytes.Buffer
		if err := req.MarshalCBOR(&q); err != nil {
			f.Fatal(err)
		}
		a := s.answer(f.Context(), &req)
		if err := a.write(&r); err != nil {
			f.Fatal(err)
		}
		requests, responses = append(requests, q.Bytes()), append(responses, r.Bytes())
	}
	return requests, responses
}

// Any request gets an answer that a client can read.
func FuzzRequest(f *testing.F) {
	requests, _ := seeds(f)
	for _, r := range requests {
		f.Add(r)
	}
	chain := chaintest.New(f)
	chain.Extend(chain.Genesis(), 4, 2, "a")
	s := NewServer(nil, chain, dispatch.New(), (&session{}).Report, hosttest.Quiet())
	f.Fuzz(func(t *testing.T, b []byte) {
		var req Request
		if req.UnmarshalCBOR(bytes.NewReader(b)) != nil {
			return
		}
		a := s.answer(t.Context(), &req)
		var wire bytes.Buffer
		if err := a.write(&wire); err != nil {
			t.Fatal(err)
		}
		var r Response
		if err := r.UnmarshalCBOR(&wire); err != nil {
			t.Fatalf("own answer: %v", err)
		}
		if uint64(len(r.Chain)) > req.Length {
			t.Fatalf("%d tipsets for %d", len(r.Chain), req.Length)
		}
	})
}

// Any answer is taken or refused; what is taken keeps the rules and encodes again.
func FuzzResponse(f *testing.F) {
	requests, responses := seeds(f)
	for i := range responses {
		f.Add(requests[i], responses[i])
	}
	f.Fuzz(func(t *testing.T, q, b []byte) {
		var req Request
		var r Response
		if req.UnmarshalCBOR(bytes.NewReader(q)) != nil || r.UnmarshalCBOR(bytes.NewReader(b)) != nil {
			return
		}
		if r.check(&req) != nil {
			return
		}
		var again bytes.Buffer
		if err := r.MarshalCBOR(&again); err != nil {
			return // null elements, which the rules below refuse
		}
		chain, err := r.headers(&req)
		if err != nil {
			return
		}
		if len(chain) == 0 || uint64(len(chain)) > req.Length {
			t.Fatalf("%d tipsets for %d", len(chain), req.Length)
		}
		for i, ts := range chain {
			if i > 0 && !chain[i-1].IsChildOf(ts) {
				t.Fatal("tipsets are not a chain")
			}
			if m := r.Chain[i].Messages; m != nil {
				if full, err := fill(t.Context(), ts, m); err == nil && len(full.Blocks) != len(ts.Blocks()) {
					t.Fatal("blocks are missing")
				}
			}
		}
	})
}
