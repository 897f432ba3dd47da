package deal

import (
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
)

// EpochsPerMonth is the length of a month of 30 days in prices. Epochs here are of 30
// seconds, as everywhere in the actors, whatever the network's own are.
const EpochsPerMonth = 30 * 2880

// PieceFee is the price of a piece an epoch at a price per GiB and epoch, in attoFIL.
func PieceFee(perGiB abi.TokenAmount, size abi.PaddedPieceSize) abi.TokenAmount {
	return big.Div(big.Mul(perGiB, big.NewIntUnsigned(uint64(size))), big.NewInt(1<<30))
}

// PerMonth is a price per epoch as a price per month.
func PerMonth(perEpoch abi.TokenAmount) abi.TokenAmount {
	return big.Mul(perEpoch, big.NewInt(EpochsPerMonth))
}

// FIL writes an amount for people: in FIL, or in attoFIL when it is tiny.
func FIL(v abi.TokenAmount) string {
	if v.Int == nil {
		return "0 FIL"
	}
	s := v.Int.String()
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if s != "0" && len(s) <= 9 {
		return sign + s + " attoFIL"
	}
	for len(s) <= 18 {
		s = "0" + s
	}
	whole, frac := s[:len(s)-18], strings.TrimRight(s[len(s)-18:], "0")
	if frac != "" {
		whole += "." + frac
	}
	return sign + whole + " FIL"
}
