package retrieval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/lodenet/lode/market/car"
)

// Missing: a block could not be had. Why has one line a gateway.
type Missing struct {
	Block cid.Cid
	Why   []string
}

func (e Missing) Error() string {
	return fmt.Sprintf("block %s cannot be had:\n  %s", e.Block, strings.Join(e.Why, "\n  "))
}

// session gives the verified blocks of one file in the order of its walk. It reads a CAR of
// the whole while the next block is the one wanted; else it asks for the block alone, first
// where the last one came from. So a file spread over several providers, a server that
// leaves out duplicates, and a stream that breaks off all end well.
type session struct {
	root      cid.Cid
	endpoints []*endpoint
	patience  time.Duration

	stream io.ReadCloser // the CAR's body; nil: none
	cars   *car.Reader
	peek   *car.Section // read and not yet used
	from   string       // the endpoint of the last block
	broken []string     // why CARs broke off
}

// start opens the CAR at the first endpoint that has the root.
func (s *session) start(ctx context.Context) error {
	var why []string
	for _, e := range s.endpoints {
		body, err := e.do(ctx, "/ipfs/"+s.root.String()+"?format=car&dag-scope=entity", typeCAR+";version=1;order=dfs;dups=y")
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			why = append(why, e.name+": "+err.Error())
			continue
		}
		r, err := car.NewReader(body)
		if err != nil {
			body.Close()
			why = append(why, e.name+": "+err.Error())
			continue
		}
		s.stream, s.cars, s.from = body, r, e.name
		s.prefer(e)
		return nil
	}
	return Missing{s.root, why}
}

func (s *session) prefer(e *endpoint) {
	for i, x := range s.endpoints {
		if x == e {
			copy(s.endpoints[1:i+1], s.endpoints[:i])
			s.endpoints[0] = e
		}
	}
}

// get returns a block's bytes, valid until the next call. While providers fail that may have
// it, it asks again for as long as patience lasts.
func (s *session) get(ctx context.Context, c cid.Cid) ([]byte, error) {
	if data, ok := s.next(c); ok {
		return data, nil
	}
	var waited time.Duration
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		data, hopeless, err := s.ask(ctx, c)
		if err == nil || hopeless || ctx.Err() != nil || waited >= s.patience {
			return data, err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
			waited += wait
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}

// ask asks each endpoint once; hopeless says that all answered and none has the block.
func (s *session) ask(ctx context.Context, c cid.Cid) (data []byte, hopeless bool, err error) {
	var why []string
	hopeless = true
	for _, e := range alive(s.endpoints) {
		data, err := e.raw(ctx, c)
		if err == nil {
			s.from = e.name
			s.prefer(e)
			return data, false, nil
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		hopeless = hopeless && (errors.Is(err, errAbsent) || errors.Is(err, car.ErrHash))
		why = append(why, e.name+": "+err.Error())
	}
	return nil, hopeless, Missing{c, append(why, s.broken...)}
}

// next takes the block from the CAR when it is the next there.
func (s *session) next(c cid.Cid) ([]byte, bool) {
	if s.cars == nil {
		return nil, false
	}
	if s.peek == nil {
		sec, err := s.cars.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				s.broken = append(s.broken, s.from+": the CAR broke off: "+err.Error())
			}
			s.close()
			return nil, false
		}
		s.peek = &sec
	}
	if !s.peek.Cid.Equals(c) {
		return nil, false
	}
	data := s.peek.Data
	s.peek = nil
	return data, true
}

// close ends the CAR.
func (s *session) close() {
	if s.stream != nil {
		s.stream.Close()
	}
	s.stream, s.cars, s.peek = nil, nil, nil
}
