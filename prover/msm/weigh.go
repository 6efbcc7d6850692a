package msm

// weighLanes is how many runs of buckets are summed side by side.
const weighLanes = 512

// weigh computes Σ (b+1)·buckets[b]. The buckets are cut into lanes of equal length; running sums go down all
// lanes at once, in batches, and the lanes' results are put together at the end.
func weigh[P, J, V any, C curve[P, J, V]](buckets []P, threads int) J {
	var c C
	lanes := weighLanes
	for lanes*8 > len(buckets) && lanes > 1 {
		lanes /= 2
	}
	length := len(buckets) / lanes // both are powers of two
	if lanes < 8 {
		return weighFew[P, J, V, C](buckets)
	}
	tails, totals := make([]P, lanes), make([]P, lanes)
	share := lanes
	if threads > 1 && lanes == weighLanes {
		share = lanes / min(threads, 8)
	}
	each(threads, (lanes+share-1)/share, func() (func(int), func()) {
		r := borrowReducer[P, J, V, C]()
		b := r.batch
		runX, runY, sumX, sumY := r.x, r.y, r.nextX, r.nextY
		refs, index := make([]uint32, share), make([]uint32, share)
		return func(k int) {
			first := k * share
			n := min(share, lanes-first)
			refs, index := refs[:n], index[:n]
			for i := range index {
				index[i] = uint32(i)
				refs[i] = uint32((first+i)*length + length - 1)
			}
			b.infinities = true
			c.gather(runX, runY, buckets, refs)
			c.gather(sumX, sumY, buckets, refs)
			for range length - 1 {
				for i := range refs {
					refs[i]--
				}
				c.gather(b.x1, b.y1, buckets, refs)
				c.pick(b.x2, runX, index)
				c.pick(b.y2, runY, index)
				b.add(n)
				c.place(runX, index, b.x1)
				c.place(runY, index, b.y1)
				c.pick(b.x2, sumX, index)
				c.pick(b.y2, sumY, index)
				b.add(n)
				c.place(sumX, index, b.x1)
				c.place(sumY, index, b.y1)
			}
			for i := range n {
				tails[first+i] = c.point(runX, runY, i)
				totals[first+i] = c.point(sumX, sumY, i)
			}
		}, r.release
	})
	// lane k's buckets weigh k·length more than its own running sums say: Σ totals + length·Σ k·tails
	var infinity P
	offset := weigh[P, J, V, C](append(tails[1:], infinity), 1)
	for n := length; n > 1; n /= 2 {
		c.doubleJacobian(&offset)
	}
	result := addAll[P, J, V, C](totals)
	c.addJacobian(&result, &offset)
	return result
}

// addAll computes Σ points in batches, overwriting them. Their number is a power of two, at most batchPoints.
func addAll[P, J, V any, C curve[P, J, V]](points []P) J {
	r := borrowReducer[P, J, V, C]()
	defer r.release()
	b, c := r.batch, r.batch.c
	b.infinities = true
	refs := make([]uint32, len(points)/2)
	for i := range refs {
		refs[i] = uint32(i)
	}
	for len(points) > 8 {
		half := len(points) / 2
		c.gather(b.x1, b.y1, points[:half], refs[:half])
		c.gather(b.x2, b.y2, points[half:], refs[:half])
		b.add(half)
		points = points[:half]
		for i := range points {
			points[i] = c.point(b.x1, b.y1, i)
		}
	}
	sum := c.infinity()
	for i := range points {
		point := c.jacobian(&points[i])
		c.addJacobian(&sum, &point)
	}
	return sum
}

// weighFew is weigh by plain running sums.
func weighFew[P, J, V any, C curve[P, J, V]](buckets []P) J {
	var c C
	run, result := c.infinity(), c.infinity()
	for b := len(buckets) - 1; b >= 0; b-- {
		point := c.jacobian(&buckets[b])
		c.addJacobian(&run, &point)
		c.addJacobian(&result, &run)
	}
	return result
}
