package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/filecoin-project/go-state-types/big"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"

	"github.com/lodenet/lode/chain/types"
)

// ErrClosed: the store was closed. The caller is stopping too late.
var ErrClosed = errors.New("chain store is closed")

// Options may vary; the zero value is a store on disk with moderate memory.
type Options struct {
	// FS is where the files are; nil is the disk. vfs.NewMem() makes a store in memory.
	FS vfs.FS
	// CacheBytes bounds the cache of uncompressed blocks; 0 is 16 MiB.
	CacheBytes int64
	// MemTableBytes bounds one write buffer, of which there are at most two; 0 is 8 MiB.
	MemTableBytes uint64
	// TipSets is how many decoded tipsets are kept; 0 is 1024.
	TipSets int
	// Log hears what Pebble has to say about errors; nil is silence.
	Log *slog.Logger
}

// Store is the chain on disk. It is safe from many goroutines.
type Store struct {
	db    *pebble.DB
	guard *Guard
	log   *slog.Logger
	done  chan struct{} // closed when Close begins

	life    sync.Mutex
	closed  bool           // guarded by life
	running sync.WaitGroup // operations between enter and leave; Add under life

	tipsets *lru.Cache[types.TipSetKey, *types.TipSet] // safe by itself

	genesis    atomic.Pointer[types.TipSet]
	head       atomic.Pointer[types.TipSet]
	checkpoint atomic.Pointer[types.TipSet]

	headMu     sync.Mutex // held by the one who changes head, checkpoint or genesis, and by Close
	headWeight *big.Int   // of head; nil when not known; guarded by headMu

	changeMu sync.Mutex
	changed  chan struct{} // closed and replaced when the head changes; guarded by changeMu
}

// The first byte of a key says what it holds.
const (
	keyBlock      = 'b' // multihash → bytes
	keyMain       = 'h' // height → tipset key of the main chain
	keyHead       = 'H' // → tipset key
	keyGenesis    = 'G' // → CID of the genesis header
	keyCheckpoint = 'K' // → tipset key
	keyState      = 's' // tipset key → state root, receipts root
	keyValid      = 'v' // height, CID → nothing: a validated block
	keyBad        = 'x' // CID → why (JSON)
	keyCursor     = 'c' // follower's name → tipset key
)

// cure is what to do about a damaged chain store. Keys, sectors and deals are elsewhere.
const cure = "stop the node and move this folder away: the node then fetches the chain from its peers again; " +
	"the only node of a network has none and needs the folder from a backup"

// Open opens the store in a folder, which is made when missing. Only one process can have it
// open.
func Open(dir string, opt Options) (*Store, error) {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	tipsets, err := lru.New[types.TipSetKey, *types.TipSet](orDefault(opt.TipSets, 1024))
	if err != nil {
		return nil, fmt.Errorf("chain store: %w", err)
	}
	guard := NewGuard(dir, cure, log)
	db, err := pebble.Open(dir, pebbleOptions(opt, guard, log))
	if err != nil {
		return nil, fmt.Errorf("chain store: %w", guard.Explain(err))
	}
	s := &Store{
		db:      db,
		guard:   guard,
		log:     log,
		done:    make(chan struct{}),
		tipsets: tipsets,
		changed: make(chan struct{}),
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("chain store: %w", guard.Explain(err)), db.Close())
	}
	return s, nil
}

func pebbleOptions(opt Options, guard *Guard, log *slog.Logger) *pebble.Options {
	// Without one of ours Pebble takes a file system that watches for slow disks, which nobody
	// here asks about and whose goroutine stays behind when opening fails.
	fs := opt.FS
	if fs == nil {
		fs = vfs.Default
	}
	o := &pebble.Options{
		FS:                          fs,
		CacheSize:                   orDefault(opt.CacheBytes, 16<<20),
		MemTableSize:                orDefault(opt.MemTableBytes, 8<<20),
		MemTableStopWritesThreshold: 3,
		MaxOpenFiles:                256,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      NewPebbleLog(log, "chain store"),
		EventListener:               guard.Events(),
	}
	// State is read by random keys that are mostly not in the upper levels.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	return o
}

func orDefault[T int | int64 | uint64](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Watch returns when the store turns out to be damaged, with the reason, or when the context
// ends.
func (s *Store) Watch(ctx context.Context) error { return s.guard.Run(ctx) }

// load reads the pointers that are kept in memory.
func (s *Store) load() error {
	for _, p := range []struct {
		key byte
		to  *atomic.Pointer[types.TipSet]
	}{{keyHead, &s.head}, {keyCheckpoint, &s.checkpoint}} {
		raw, err := get(s.db, []byte{p.key})
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		ts, err := s.loadByKeyBytes(raw)
		if err != nil {
			return fmt.Errorf("tipset at key %q: %w", p.key, err)
		}
		p.to.Store(ts)
	}
	raw, err := get(s.db, []byte{keyGenesis})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := cid.Cast(raw)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	ts, err := s.loadTipSet(types.NewTipSetKey(c))
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	s.genesis.Store(ts)
	return nil
}

// Close waits for running operations and closes the files. Later calls of other methods
// return ErrClosed. It can be repeated.
func (s *Store) Close() error {
	s.headMu.Lock() // let a head change finish
	defer s.headMu.Unlock()
	select {
	case <-s.done:
		return nil
	default:
	}
	close(s.done)
	s.life.Lock()
	s.closed = true
	s.life.Unlock()
	s.running.Wait()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close chain store: %w", err)
	}
	return nil
}

// enter begins an operation and leave ends it: between the two the database stays open.
// Operations may nest.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.running.Add(1)
	return nil
}

func (s *Store) leave() { s.running.Done() }

// get returns a copy of a value, or pebble.ErrNotFound.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(v)), v...)
	return out, closer.Close()
}
