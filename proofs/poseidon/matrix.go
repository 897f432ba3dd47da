package poseidon

import "github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

// matrix is square, rows first.
type matrix [][]fr.Element

func newMatrix(n int) matrix {
	m := make(matrix, n)
	for i := range m {
		m[i] = make([]fr.Element, n)
	}
	return m
}

// cauchy is the mixing matrix 1/(i+j+n) (spec: 3.3).
func cauchy(n int) matrix {
	m := newMatrix(n)
	for i := range m {
		for j := range m {
			m[i][j].SetUint64(uint64(i + j + n))
			m[i][j].Inverse(&m[i][j])
		}
	}
	return m
}

// apply sets s to m·s; scratch is as long as s.
func (m matrix) apply(s, scratch []fr.Element) {
	for i := range m {
		scratch[i] = dot(m[i], s)
	}
	copy(s, scratch)
}

func dot(a, b []fr.Element) fr.Element {
	var sum, x fr.Element
	for i := range a {
		x.Mul(&a[i], &b[i])
		sum.Add(&sum, &x)
	}
	return sum
}

// times returns a·b.
func (m matrix) times(b matrix) matrix {
	c := newMatrix(len(m))
	var x fr.Element
	for i := range m {
		for j := range m {
			for k := range m {
				x.Mul(&m[i][k], &b[k][j])
				c[i][j].Add(&c[i][j], &x)
			}
		}
	}
	return c
}

// inverse returns the inverse by elimination; ok is false when there is none.
func (m matrix) inverse() (inv matrix, ok bool) {
	n := len(m)
	a := newMatrix(n)
	inv = newMatrix(n)
	for i := range m {
		copy(a[i], m[i])
		inv[i][i].SetOne()
	}
	for col := range n {
		pivot := col
		for pivot < n && a[pivot][col].IsZero() {
			pivot++
		}
		if pivot == n {
			return nil, false
		}
		a[col], a[pivot] = a[pivot], a[col]
		inv[col], inv[pivot] = inv[pivot], inv[col]
		var f fr.Element
		f.Inverse(&a[col][col])
		scale(a[col], &f)
		scale(inv[col], &f)
		for row := range n {
			if row == col || a[row][col].IsZero() {
				continue
			}
			f.Neg(&a[row][col])
			addScaled(a[row], a[col], &f)
			addScaled(inv[row], inv[col], &f)
		}
	}
	return inv, true
}

func scale(row []fr.Element, f *fr.Element) {
	for i := range row {
		row[i].Mul(&row[i], f)
	}
}

func addScaled(row, other []fr.Element, f *fr.Element) {
	var x fr.Element
	for i := range row {
		x.Mul(&other[i], f)
		row[i].Add(&row[i], &x)
	}
}

// minor is m without its first row and column.
func (m matrix) minor() matrix {
	n := newMatrix(len(m) - 1)
	for i := range n {
		copy(n[i], m[i+1][1:])
	}
	return n
}

// bordered is m with a first row and column of the identity added.
func (m matrix) bordered() matrix {
	n := newMatrix(len(m) + 1)
	n[0][0].SetOne()
	for i := range m {
		copy(n[i+1][1:], m[i])
	}
	return n
}
