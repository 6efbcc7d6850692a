package msm

import "sync"

// segment is a run of references, or part of one, that are summed together.
type segment struct{ run, lo, hi uint32 }

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
	runs := t.sorted(d, set)
	if len(runs.refs) == 0 {
		return t.c.infinity()
	}
	return weigh[P, J, V, C](sumRuns[P, J, V, C](runs, t.points, threads), threads)
}

// runs are references to points, run after run; ends[i] is where run i ends. Runs may be empty.
type runs struct{ refs, ends []uint32 }

// end ends a run.
func (r *runs) end() { r.ends = append(r.ends, uint32(len(r.refs))) }

// sumRuns sums the points of every run; the sum of an empty one is infinity. None of the points is at infinity.
func sumRuns[P, J, V any, C curve[P, J, V]](runs runs, points []P, threads int) []P {
	chunks := cutChunks(runs.ends)
	sums := make([]P, len(runs.ends))
	var merge sync.Mutex
	each(threads, len(chunks), func() (func(int), func()) {
		r := borrowReducer[P, J, V, C]()
		return func(k int) {
			r.reduce(chunks[k], runs.refs, points, func(s segment, p P) {
				whole := s.hi == runs.ends[s.run] && (s.run == 0 && s.lo == 0 || s.run > 0 && s.lo == runs.ends[s.run-1])
				if whole {
					sums[s.run] = p
					return
				}
				merge.Lock()
				sums[s.run] = r.batch.c.addAffine(&sums[s.run], &p)
				merge.Unlock()
			})
		}, r.release
	})
	return sums
}

// sorted lists the point references of one set, a run for each bucket. Within a bucket
// they are ordered by sign, positive ones first in every other bucket and last in the rest: whoever negates points
// one by one has a branch on the sign that is predicted well.
func (t *table[P, J, V, C]) sorted(d *Digits, set int) runs {
	slot := func(digit uint32) uint32 { return digit ^ digit>>1&1 }
	buckets := 1 << (t.plan.Width - 1)
	starts := make([]uint32, 2*buckets+2)
	for w := set; w < len(d.rows); w += t.plan.Sets {
		row := d.rows[w]
		for _, wire := range t.wires {
			// digit 0 is counted in a slot of its own, so that the loop has no branch
			starts[slot(row[wire])]++
		}
	}
	var at uint32
	for i := 2; i < len(starts); i++ {
		n := starts[i]
		starts[i] = at
		at += n
	}
	refs := make([]uint32, at)
	level := uint32(0)
	for w := set; w < len(d.rows); w += t.plan.Sets {
		row := d.rows[w]
		for i, wire := range t.wires {
			digit := row[wire]
			if digit == 0 {
				continue
			}
			next := &starts[slot(digit)]
			refs[*next] = (level + uint32(i)) | digit<<31
			*next++
		}
		level += uint32(t.count)
	}
	ends := starts[:buckets]
	for b := range ends {
		ends[b] = starts[2*b+3]
	}
	return runs{refs, ends}
}

// cutChunks groups consecutive runs into chunks of up to batchPoints references, splitting longer runs.
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
	for run, hi := range ends {
		for lo < hi {
			if size+(hi-lo) > batchPoints && size > batchPoints/2 {
				flush()
			}
			take := min(hi-lo, batchPoints-size)
			chunk = append(chunk, segment{uint32(run), lo, lo + take})
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
