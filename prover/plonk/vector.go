package plonk

import (
	"math/big"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/crew"
)

// parallel cuts a range into as many parts as there are threads and works on them at once. A panic of one goes on here.
func parallel(count, threads int, work func(lo, hi int)) {
	const least = 1 << 12
	threads = max(1, min(threads, count/least))
	var all crew.Crew
	for t := range threads {
		all.Go(func() { work(t*count/threads, (t+1)*count/threads) })
	}
	all.Wait()
}

// power is x^k.
func power(x *fr.Element, k int) (out fr.Element) {
	out.Exp(*x, big.NewInt(int64(k)))
	return out
}

// evaluate returns Σ pⱼ·xʲ.
func evaluate(p []fr.Element, x *fr.Element, threads int) (sum fr.Element) {
	var lock sync.Mutex
	parallel(len(p), threads, func(lo, hi int) {
		var part fr.Element
		for j := hi - 1; j >= lo; j-- {
			part.Mul(&part, x).Add(&part, &p[j])
		}
		start := power(x, lo)
		part.Mul(&part, &start)
		lock.Lock()
		sum.Add(&sum, &part)
		lock.Unlock()
	})
	return sum
}

// divide turns p, in place, into the coefficients of (p − p(x))/(X − x) and returns them and p(x).
func divide(p []fr.Element, x *fr.Element) (quotient []fr.Element, remainder fr.Element) {
	var t fr.Element
	for j := len(p) - 2; j >= 0; j-- {
		t.Mul(&p[j+1], x)
		p[j].Add(&p[j], &t)
	}
	return p[1:], p[0]
}

// invert inverts values, none zero, in place, with one inversion for each part.
func invert(values, scratch []fr.Element) {
	var product fr.Element
	product.SetOne()
	for i := range values {
		scratch[i] = product
		product.Mul(&product, &values[i])
	}
	product.Inverse(&product)
	for i := len(values) - 1; i >= 0; i-- {
		scratch[i].Mul(&scratch[i], &product)
		product.Mul(&product, &values[i])
		values[i] = scratch[i]
	}
}
