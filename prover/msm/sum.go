package msm

import "sync"

// segment is a run of sorted references that belong to one bucket.
type segment struct{ bucket, lo, hi uint32 }

// Sum computes Σ kᵢ·Pᵢ over the table's points, on up to threads goroutines.
func (t *table[P, J, V, C]) Sum(d *Digits, threads int) J {
	total := t.c.infinity()
	if t.count == 0 {
		return total
	}
	if d.width != t.plan.Width {
		panic("msm: digits and table have different widths")
	}
	for set := t.plan.Sets - 1; set >= 0; set-- {
		for range t.plan.Width {
			if set == t.plan.Sets-1 {
				break
			}
			t.c.doubleJacobian(&total)
		}
		part := t.sumSet(d, set, threads)
		t.c.addJacobian(&total, &part)
	}
	return total
}

// sumSet sums the windows that share one set of buckets.
func (t *table[P, J, V, C]) sumSet(d *Digits, set, threads int) J {
	refs, ends := t.sorted(d, set)
	if len(refs) == 0 {
		return t.c.infinity()
	}
	chunks := cutChunks(ends)
	buckets := make([]P, len(ends))
	var merge sync.Mutex
	each(threads, len(chunks), func() (func(int), func()) {
		r := borrowReducer[P, J, V, C]()
		return func(k int) {
			r.reduce(chunks[k], refs, t.points, func(s segment, p P) {
				whole := s.hi == ends[s.bucket] && (s.bucket == 0 && s.lo == 0 || s.bucket > 0 && s.lo == ends[s.bucket-1])
				if whole {
					buckets[s.bucket] = p
					return
				}
				merge.Lock()
				buckets[s.bucket] = t.c.addAffine(&buckets[s.bucket], &p)
				merge.Unlock()
			})
		}, r.release
	})
	return weigh[P, J, V, C](buckets, threads)
}

// sorted lists the point references of one set ordered by bucket; ends[b] is where bucket b's run ends.
func (t *table[P, J, V, C]) sorted(d *Digits, set int) (refs, ends []uint32) {
	starts := make([]uint32, 1<<(t.plan.Width-1)+1)
	for w := set; w < len(d.rows); w += t.plan.Sets {
		row := d.rows[w]
		for _, wire := range t.wires {
			// digit 0 is counted in a slot of its own, so that the loop has no branch
			starts[row[wire]>>1]++
		}
	}
	var at uint32
	for b := 1; b < len(starts); b++ {
		n := starts[b]
		starts[b] = at
		at += n
	}
	refs = make([]uint32, at)
	level := uint32(0)
	for w := set; w < len(d.rows); w += t.plan.Sets {
		row := d.rows[w]
		for i, wire := range t.wires {
			digit := row[wire]
			if digit == 0 {
				continue
			}
			slot := &starts[digit>>1]
			refs[*slot] = (level + uint32(i)) | digit<<31
			*slot++
		}
		level += uint32(t.count)
	}
	return refs, starts[1:]
}

// cutChunks groups consecutive buckets into chunks of up to batchPoints references, splitting larger buckets.
func cutChunks(ends []uint32) [][]segment {
	var chunks [][]segment
	var chunk []segment
	size, lo := uint32(0), uint32(0)
	flush := func() {
		if len(chunk) > 0 {
			chunks = append(chunks, chunk)
			chunk, size = nil, 0
		}
	}
	for b, hi := range ends {
		for lo < hi {
			if size+(hi-lo) > batchPoints && size > batchPoints/2 {
				flush()
			}
			take := min(hi-lo, batchPoints-size)
			chunk = append(chunk, segment{uint32(b), lo, lo + take})
			size += take
			lo += take
			if size == batchPoints {
				flush()
			}
		}
	}
	flush()
	return chunks
}
