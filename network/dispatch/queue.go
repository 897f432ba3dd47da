package dispatch

// quantum is how many bytes a flow may send per turn (deficit round robin).
const quantum = 64 << 10

// fifo is a ring of envelopes that doubles as it fills. The zero fifo is empty. Envelopes
// are passed by pointer, since they are large and this is the way of every message.
type fifo[T any] struct {
	buf  []Envelope[T] // its length is a power of two, or nothing
	head int
	n    int
}

// fifoLeast is the room of a fifo that has held anything.
const fifoLeast = 8

func (f *fifo[T]) at(i int) *Envelope[T] { return &f.buf[(f.head+i)&(len(f.buf)-1)] }

func (f *fifo[T]) push(e *Envelope[T]) {
	if f.n == len(f.buf) {
		f.grow()
	}
	*f.at(f.n) = *e
	f.n++
}

func (f *fifo[T]) grow() {
	next := make([]Envelope[T], max(fifoLeast, 2*len(f.buf)))
	n := copy(next, f.buf[f.head:])
	copy(next[n:], f.buf[:f.head])
	f.buf, f.head = next, 0
}

// pop moves the first to e and tells whether there was one.
func (f *fifo[T]) pop(e *Envelope[T]) bool {
	if f.n == 0 {
		return false
	}
	from := f.at(0)
	f.head = (f.head + 1) & (len(f.buf) - 1)
	f.n--
	*e, *from = *from, Envelope[T]{} // so that the message can be freed
	return true
}

// popLast moves the last to e and tells whether there was one.
func (f *fifo[T]) popLast(e *Envelope[T]) bool {
	if f.n == 0 {
		return false
	}
	f.n--
	from := f.at(f.n)
	*e, *from = *from, Envelope[T]{}
	return true
}

// flow holds the messages of one key.
type flow[T any] struct {
	key     uint64
	msgs    fifo[T]
	bytes   int64
	deficit int64 // bytes it may still send in this turn
}

// fairQueue serves its flows in turns. It is not safe for concurrent use and knows no
// bounds; its subscription has them.
type fairQueue[T any] struct {
	flows map[uint64]*flow[T] // none is empty
	turns []*flow[T]          // the first has the turn
}

func (q *fairQueue[T]) push(key uint64, e *Envelope[T]) {
	f, ok := q.flows[key]
	if !ok {
		if q.flows == nil {
			q.flows = make(map[uint64]*flow[T])
		}
		f = &flow[T]{key: key}
		q.flows[key] = f
		q.turns = append(q.turns, f)
	}
	f.msgs.push(e)
	f.bytes += size(e)
}

// pop moves the next message in fair order to e and tells whether there was one.
func (q *fairQueue[T]) pop(e *Envelope[T]) bool {
	if len(q.turns) == 0 {
		return false
	}
	for len(q.turns) > 1 {
		f := q.turns[0]
		if f.deficit >= size(f.msgs.at(0)) {
			break
		}
		// The turn passes on; the flow is credited for its next one.
		f.deficit += quantum
		copy(q.turns, q.turns[1:])
		q.turns[len(q.turns)-1] = f
	}
	f := q.turns[0]
	f.msgs.pop(e)
	n := size(e)
	f.bytes -= n
	f.deficit = max(0, f.deficit-n)
	q.dropEmpty(f)
	return true
}

// longest is the flow with most bytes, or nil.
func (q *fairQueue[T]) longest() *flow[T] {
	var best *flow[T]
	for _, f := range q.turns {
		if best == nil || f.bytes > best.bytes {
			best = f
		}
	}
	return best
}

// bytesOf is what a key has queued.
func (q *fairQueue[T]) bytesOf(key uint64) int64 {
	if f, ok := q.flows[key]; ok {
		return f.bytes
	}
	return 0
}

// cutFirst moves the first message of a flow to e, cutLast the last.
func (q *fairQueue[T]) cutFirst(f *flow[T], e *Envelope[T]) bool { return q.cut(f, e, f.msgs.pop(e)) }
func (q *fairQueue[T]) cutLast(f *flow[T], e *Envelope[T]) bool {
	return q.cut(f, e, f.msgs.popLast(e))
}

func (q *fairQueue[T]) cut(f *flow[T], e *Envelope[T], ok bool) bool {
	if ok {
		f.bytes -= size(e)
		q.dropEmpty(f)
	}
	return ok
}

func (q *fairQueue[T]) dropEmpty(f *flow[T]) {
	if f.msgs.n > 0 {
		return
	}
	delete(q.flows, f.key)
	for i, t := range q.turns {
		if t == f {
			copy(q.turns[i:], q.turns[i+1:])
			q.turns[len(q.turns)-1] = nil
			q.turns = q.turns[:len(q.turns)-1]
			return
		}
	}
}

// size is what an envelope counts; nothing is free.
func size[T any](e *Envelope[T]) int64 { return max(1, int64(e.Size)) }
