package consensus

import (
	stdbig "math/big"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/minio/blake2b-simd"
)

// maxWins caps the wins of one miner at one epoch: three times the expected leaders.
const maxWins = 3 * expectedLeaders

// precision is the number of fractional bits of all numbers here (Q.256).
const precision = 256

// WinCount is how often a miner with some of the total power won an election, by the hash of
// its proof (spec chain.md e.5). Of no power, or of none in total, it is 0.
func WinCount(vrf []byte, power, total big.Int) int64 {
	if power.Sign() <= 0 || total.Sign() <= 0 {
		return 0
	}
	digest := blake2b.Sum256(vrf)
	hash := new(stdbig.Int).SetBytes(digest[:])
	p := newPoisson(lambda(power.Int, total.Int))
	for p.wins < maxWins && hash.Cmp(p.icdf) < 0 {
		p.next()
	}
	return p.wins
}

// lambda is the expected number of wins.
func lambda(power, total *stdbig.Int) *stdbig.Int {
	l := new(stdbig.Int).Mul(power, stdbig.NewInt(expectedLeaders))
	l.Lsh(l, precision)
	return l.Div(l, total)
}

// poisson walks down the inverse distribution function: icdf is the probability of more than
// wins wins.
type poisson struct {
	lambda, pmf, icdf *stdbig.Int
	wins              int64
}

func newPoisson(lambda *stdbig.Int) *poisson {
	pmf := expneg(lambda)
	icdf := new(stdbig.Int).Lsh(stdbig.NewInt(1), precision)
	return &poisson{lambda: lambda, pmf: pmf, icdf: icdf.Sub(icdf, pmf)}
}

// next goes to one win more. Dividing before multiplying is part of the rule.
func (p *poisson) next() {
	p.wins++
	p.pmf.Div(p.pmf, stdbig.NewInt(p.wins))
	p.pmf.Mul(p.pmf, p.lambda)
	p.pmf.Rsh(p.pmf, precision)
	p.icdf = new(stdbig.Int).Sub(p.icdf, p.pmf)
}

// expneg is e^−x as the quotient of two polynomials.
func expneg(x *stdbig.Int) *stdbig.Int {
	num := polynomial(expNum, x)
	num.Lsh(num, precision)
	return num.Div(num, polynomial(expDen, x))
}

// polynomial evaluates by Horner's scheme, highest coefficient first. Rsh rounds towards
// minus infinity.
func polynomial(coefficients []*stdbig.Int, x *stdbig.Int) *stdbig.Int {
	out := new(stdbig.Int).Set(coefficients[0])
	for _, c := range coefficients[1:] {
		out.Mul(out, x)
		out.Rsh(out, precision)
		out.Add(out, c)
	}
	return out
}

var (
	expNum = coefficients(
		"-648770010757830093818553637600",
		"67469480939593786226847644286976",
		"-3197587544499098424029388939001856",
		"89244641121992890118377641805348864",
		"-1579656163641440567800982336819953664",
		"17685496037279256458459817590917169152",
		"-115682590513835356866803355398940131328",
		"340282366920938463463374607431768211456",
	)
	expDen = coefficients(
		"1225524182432722209606361",
		"114095592300906098243859450",
		"5665570424063336070530214243",
		"194450132448609991765137938448",
		"5068267641632683791026134915072",
		"104716890604972796896895427629056",
		"1748338658439454459487681798864896",
		"23704654329841312470660182937960448",
		"259380097567996910282699886670381056",
		"2250336698853390384720606936038375424",
		"14978272436876548034486263159246028800",
		"72144088983913131323343765784380833792",
		"224599776407103106596571252037123047424",
		"340282366920938463463374607431768211456",
	)
)

// coefficients reads numbers of 128 fractional bits.
func coefficients(decimal ...string) []*stdbig.Int {
	out := make([]*stdbig.Int, len(decimal))
	for i, s := range decimal {
		c, ok := new(stdbig.Int).SetString(s, 10)
		if !ok {
			panic("coefficient " + s)
		}
		out[i] = c.Lsh(c, precision-128)
	}
	return out
}
