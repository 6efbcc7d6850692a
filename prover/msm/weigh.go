package msm

import "math/bits"

// weigh computes Σ (b+1)·buckets[b]; the number of buckets is a power of two. The buckets are laid out in a square by
// the upper and the lower half of their weight's bits, and its rows and columns are summed: two additions a bucket, all
// of them in full batches. The weighted sums of the rows and of the columns, of which there are few, are taken bit by
// bit.
func weigh[P, J, V any, C curve[P, J, V]](buckets []P, threads int) J {
	var c C
	low := bits.Len(uint(len(buckets))) / 2
	rows, columns := len(buckets)>>low, 1<<low
	// row 0 and column 0 weigh nothing; the last row has one bucket only, the heaviest
	var runs runs
	runs.refs = make([]uint32, 0, 2*len(buckets))
	add := func(row, column int) {
		if b := row<<low + column - 1; b >= 0 && b < len(buckets) && !c.isInfinity(&buckets[b]) {
			runs.refs = append(runs.refs, uint32(b))
		}
	}
	for row := 1; row <= rows; row++ {
		for column := range columns {
			add(row, column)
		}
		runs.end()
	}
	for column := 1; column < columns; column++ {
		for row := range rows {
			add(row, column)
		}
		runs.end()
	}
	lines := sumRuns[P, J, V, C](runs, buckets, threads)

	runs.refs, runs.ends = runs.refs[:0], runs.ends[:0]
	pick := func(lines []P, first, bit int) {
		for i := range lines {
			if (i+1)>>bit&1 == 1 && !c.isInfinity(&lines[i]) {
				runs.refs = append(runs.refs, uint32(first+i))
			}
		}
		runs.end()
	}
	for bit := range low {
		pick(lines[rows:], rows, bit)
	}
	for bit := range bits.Len(uint(rows)) {
		pick(lines[:rows], 0, bit)
	}
	sums := sumRuns[P, J, V, C](runs, lines, threads)
	total := c.infinity()
	for i := len(sums) - 1; i >= 0; i-- {
		sum := c.jacobian(&sums[i])
		c.doubleJacobian(&total)
		c.addJacobian(&total, &sum)
	}
	return total
}
