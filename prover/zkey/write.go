package zkey

import (
	"encoding/binary"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"provery/prover/binfile"
)

// Encode returns the key as the chunks of a .zkey file, to be written one after another.
func (k *Key) Encode() [][]byte {
	header := make([]byte, 0, headerBytes)
	header = binary.LittleEndian.AppendUint32(header, 32)
	header = appendLimbs(header, baseOrder)
	header = binary.LittleEndian.AppendUint32(header, 32)
	header = appendLimbs(header, limbs(fr.Modulus().Bits()))
	header = binary.LittleEndian.AppendUint32(header, uint32(k.NVars))
	header = binary.LittleEndian.AppendUint32(header, uint32(k.NPublic))
	header = binary.LittleEndian.AppendUint32(header, uint32(k.DomainSize))
	header = appendG1(header, k.Alpha1, k.Beta1)
	header = appendG2(header, k.Beta2, k.Gamma2)
	header = appendG1(header, k.Delta1)
	header = appendG2(header, k.Delta2)

	coefficients := make([]byte, 0, 4+coeffBytes*len(k.Coefficients))
	coefficients = binary.LittleEndian.AppendUint32(coefficients, uint32(len(k.Coefficients)))
	// a field element's limbs are its value times R, so those of value·R, as an element, are value·R²
	var shift fr.Element
	shift.SetBigInt(new(big.Int).Lsh(big.NewInt(1), 256))
	for i := range k.Coefficients {
		c := &k.Coefficients[i]
		coefficients = binary.LittleEndian.AppendUint32(coefficients, c.Matrix)
		coefficients = binary.LittleEndian.AppendUint32(coefficients, c.Constraint)
		coefficients = binary.LittleEndian.AppendUint32(coefficients, c.Signal)
		var value fr.Element
		value.Mul(&c.Value, &shift)
		coefficients = appendLimbs(coefficients, value)
	}
	history := make([]byte, 68)
	copy(history, k.CircuitHash)
	binary.LittleEndian.PutUint32(history[64:], uint32(k.Contributions))

	return binfile.Encode("zkey", 1, []binfile.Section{
		{ID: protocolSection, Data: binary.LittleEndian.AppendUint32(nil, 1)},
		{ID: headerSection, Data: header},
		{ID: icSection, Data: appendG1(nil, k.IC...)},
		{ID: coeffsSection, Data: coefficients},
		{ID: aSection, Data: appendG1(nil, k.A...)},
		{ID: b1Section, Data: appendG1(nil, k.B1...)},
		{ID: b2Section, Data: appendG2(nil, k.B2...)},
		{ID: cSection, Data: appendG1(nil, k.C...)},
		{ID: hSection, Data: appendG1(nil, k.H...)},
		{ID: historySection, Data: history},
	})
}

func appendLimbs[E ~[4]uint64](to []byte, n E) []byte {
	for _, limb := range n {
		to = binary.LittleEndian.AppendUint64(to, limb)
	}
	return to
}

func appendG1(to []byte, points ...bn254.G1Affine) []byte {
	if to == nil {
		to = make([]byte, 0, g1Bytes*len(points))
	}
	for i := range points {
		to = appendLimbs(appendLimbs(to, points[i].X), points[i].Y)
	}
	return to
}

func appendG2(to []byte, points ...bn254.G2Affine) []byte {
	if to == nil {
		to = make([]byte, 0, g2Bytes*len(points))
	}
	for i := range points {
		for _, c := range []fp.Element{points[i].X.A0, points[i].X.A1, points[i].Y.A0, points[i].Y.A1} {
			to = appendLimbs(to, c)
		}
	}
	return to
}
