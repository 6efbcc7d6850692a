package circuits

// The SHA-256 of the compiled constraint systems, checked whenever they are compiled.
const (
	selfTestID      = "c6adfb51ebe1e50220205cd331348fc01b59c78ae21e4fd9cd8a657a97f7a636"
	selfTestPlonkID = "edcbbd9fd49dcc0ae4b514d89aa1dda311b578a0477e15319dc42432fdb178e0"
)
