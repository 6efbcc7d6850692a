package msm

// reducer sums segments of sorted references as balanced trees, all segments of a chunk at once. It belongs
// to one goroutine.
type reducer[P, J, V any, C curve[P, J, V]] struct {
	batch *batch[P, J, V, C]
	// x, y hold the partial sums of all segments, segment after segment; nextX, nextY those of the next round
	x, y, nextX, nextY V
	counts             []uint32
	left, right, out   []uint32
	single, singleOut  []uint32
}

// borrowReducer returns a reducer for batchPoints references; give it back with release.
func borrowReducer[P, J, V any, C curve[P, J, V]]() *reducer[P, J, V, C] {
	var c C
	if r, ok := c.pool().Get().(*reducer[P, J, V, C]); ok {
		return r
	}
	r := &reducer[P, J, V, C]{batch: newBatch[P, J, V, C](batchPoints)}
	r.x, r.y, r.nextX, r.nextY = c.vector(batchPoints), c.vector(batchPoints), c.vector(batchPoints), c.vector(batchPoints)
	return r
}

func (r *reducer[P, J, V, C]) release() { r.batch.c.pool().Put(r) }

// reduce sums each segment of chunk (together at most as many references as the reducer was made for) and
// hands the sums to emit in order.
func (r *reducer[P, J, V, C]) reduce(chunk []segment, refs []uint32, points []P, emit func(segment, P)) {
	b, c := r.batch, r.batch.c
	b.infinities = false
	r.counts = r.counts[:0]
	more := false
	r.startRound()
	at := uint32(0)
	for _, s := range chunk {
		n := s.hi - s.lo
		for i := s.lo; i+1 < s.hi; i += 2 {
			r.left = append(r.left, refs[i])
			r.right = append(r.right, refs[i+1])
			r.out = append(r.out, at)
			at++
		}
		if n&1 == 1 {
			r.single = append(r.single, refs[s.hi-1])
			r.singleOut = append(r.singleOut, at)
			at++
		}
		n = (n + 1) / 2
		r.counts = append(r.counts, n)
		more = more || n > 1
	}
	c.gather(b.x1, b.y1, points, r.left)
	c.gather(b.x2, b.y2, points, r.right)
	b.add(len(r.left))
	c.place(r.x, r.out, b.x1)
	c.place(r.y, r.out, b.y1)
	c.gather(b.x1, b.y1, points, r.single)
	c.place(r.x, r.singleOut, b.x1)
	c.place(r.y, r.singleOut, b.y1)
	for more {
		more = r.round()
	}
	for i, s := range chunk {
		emit(s, c.point(r.x, r.y, i))
	}
}

// round halves every segment's partial sums and reports whether any has more than one left.
func (r *reducer[P, J, V, C]) round() (more bool) {
	b, c := r.batch, r.batch.c
	r.startRound()
	from, at := uint32(0), uint32(0)
	for k, n := range r.counts {
		end := from + n
		for ; from+1 < end; from += 2 {
			r.left = append(r.left, from)
			r.right = append(r.right, from+1)
			r.out = append(r.out, at)
			at++
		}
		if from < end {
			r.single = append(r.single, from)
			r.singleOut = append(r.singleOut, at)
			at++
			from++
		}
		n = (n + 1) / 2
		r.counts[k] = n
		more = more || n > 1
	}
	c.pick(b.x1, r.x, r.left)
	c.pick(b.y1, r.y, r.left)
	c.pick(b.x2, r.x, r.right)
	c.pick(b.y2, r.y, r.right)
	b.add(len(r.left))
	c.place(r.nextX, r.out, b.x1)
	c.place(r.nextY, r.out, b.y1)
	c.pick(b.x1, r.x, r.single)
	c.pick(b.y1, r.y, r.single)
	c.place(r.nextX, r.singleOut, b.x1)
	c.place(r.nextY, r.singleOut, b.y1)
	r.x, r.nextX = r.nextX, r.x
	r.y, r.nextY = r.nextY, r.y
	return more
}

func (r *reducer[P, J, V, C]) startRound() {
	r.left, r.right, r.out = r.left[:0], r.right[:0], r.out[:0]
	r.single, r.singleOut = r.single[:0], r.singleOut[:0]
}
