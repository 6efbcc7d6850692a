package msm

// Load is what a plan must provide for: points of each kind that use the same digits, in so many tables.
type Load struct{ G1, G1Tables, G2, G2Tables int }

// Bytes is the memory the points of one level take.
func (l Load) Bytes() int64 { return int64(l.G1)*64 + int64(l.G2)*128 }

// relative costs, in units of one batched G1 addition (measured; docs/native-prover.md)
const (
	g2Cost      = 2.6
	bucketCost  = 3 // two additions per bucket, in smaller batches
	setBaseCost = 3000
	narrowest   = 6
	widest      = 20
)

// Choose returns the plan of least estimated work whose levels beyond the first take at most extra bytes, and
// those bytes.
func Choose(load Load, extra int64) (Plan, int64) {
	var best Plan
	bestCost := 0.0
	groups := float64(load.G1Tables) + g2Cost*float64(load.G2Tables)
	points := float64(load.G1) + g2Cost*float64(load.G2)
	for width := narrowest; width <= widest; width++ {
		windows := windowCount(width)
		for levels := 1; levels <= windows; levels++ {
			sets := (windows + levels - 1) / levels
			if (windows+sets-1)/sets != levels {
				continue // fewer levels give the same number of sets
			}
			if int64(levels-1)*load.Bytes() > extra && levels > 1 {
				break
			}
			if int64(levels)*int64(max(load.G1, load.G2)) >= 1<<31 {
				break
			}
			cost := points*float64(windows) + groups*float64(sets)*(bucketCost*float64(int(1)<<(width-1))+setBaseCost)
			if best.Width == 0 || cost < bestCost {
				best, bestCost = Plan{Width: width, Levels: levels, Sets: sets}, cost
			}
		}
	}
	return best, int64(best.Levels-1) * load.Bytes()
}
