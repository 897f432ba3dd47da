package dispatch

// quantum is how many bytes a flow may send per turn (deficit round robin).
const quantum = 64 << 10

// fifo is a queue that gives its memory back.
type fifo[T any] struct {
	buf  []T
	head int
}

func (f *fifo[T]) len() int { return len(f.buf) - f.head }

func (f *fifo[T]) push(v T) { f.buf = append(f.buf, v) }

func (f *fifo[T]) first() *T { return &f.buf[f.head] }

func (f *fifo[T]) pop() T {
	var zero T
	v := f.buf[f.head]
	f.buf[f.head] = zero // so that the message can be freed
	f.head++
	if f.head*2 >= len(f.buf) {
		n := copy(f.buf, f.buf[f.head:])
		clear(f.buf[n:])
		f.buf, f.head = f.buf[:n], 0
	}
	return v
}

func (f *fifo[T]) popLast() T {
	var zero T
	i := len(f.buf) - 1
	v := f.buf[i]
	f.buf[i] = zero
	f.buf = f.buf[:i]
	return v
}

// flow holds the messages of one key.
type flow[T any] struct {
	key     uint64
	msgs    fifo[Envelope[T]]
	bytes   int64
	deficit int64 // bytes it may still send in this turn
}

// fairQueue serves its flows in turns. With one flow it is a plain queue. It is not safe
// for concurrent use and knows no bounds; its subscription has them.
type fairQueue[T any] struct {
	keep  bool // keep flows that are empty: for a queue of one flow, which is quicker so
	flows map[uint64]*flow[T]
	turns []*flow[T] // those with messages; the first has the turn
}

func (q *fairQueue[T]) push(key uint64, e Envelope[T]) {
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

// pop takes the next message in fair order.
func (q *fairQueue[T]) pop() (Envelope[T], bool) {
	if len(q.turns) == 0 || (q.keep && q.turns[0].msgs.len() == 0) {
		var none Envelope[T]
		return none, false
	}
	for len(q.turns) > 1 {
		f := q.turns[0]
		if f.deficit >= size(*f.msgs.first()) {
			break
		}
		// The turn passes on; the flow is credited for its next one.
		f.deficit += quantum
		copy(q.turns, q.turns[1:])
		q.turns[len(q.turns)-1] = f
	}
	f := q.turns[0]
	e := f.msgs.pop()
	n := size(e)
	f.bytes -= n
	f.deficit = max(0, f.deficit-n)
	q.dropEmpty(f)
	return e, true
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

// dropOldest removes the first message of the longest flow.
func (q *fairQueue[T]) dropOldest() (Envelope[T], bool) {
	return q.cut((*fifo[Envelope[T]]).pop)
}

// dropNewest removes the last message of the longest flow.
func (q *fairQueue[T]) dropNewest() (Envelope[T], bool) {
	return q.cut((*fifo[Envelope[T]]).popLast)
}

func (q *fairQueue[T]) cut(take func(*fifo[Envelope[T]]) Envelope[T]) (Envelope[T], bool) {
	f := q.longest()
	if f == nil || f.msgs.len() == 0 {
		var none Envelope[T]
		return none, false
	}
	e := take(&f.msgs)
	f.bytes -= size(e)
	q.dropEmpty(f)
	return e, true
}

func (q *fairQueue[T]) dropEmpty(f *flow[T]) {
	if f.msgs.len() > 0 || q.keep {
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
func size[T any](e Envelope[T]) int64 { return max(1, int64(e.Size)) }
