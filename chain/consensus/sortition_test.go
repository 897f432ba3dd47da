package consensus

import (
	"bytes"
	stdbig "math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func number(t *testing.T, s string) *stdbig.Int {
	t.Helper()
	n, ok := new(stdbig.Int).SetString(strings.TrimSpace(s), 10)
	require.True(t, ok, "number %q", s)
	return n
}

// corpus lists the files of a folder of the consensus tables.
func corpus(t *testing.T, pattern string) []string {
	t.Helper()
	const root = "../.."
	dir := os.Getenv("LODE_VECTORS")
	switch {
	case dir == "":
		dir = filepath.Join(root, "../shared/vectors")
	case !filepath.IsAbs(dir):
		dir = filepath.Join(root, dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "consensus", pattern))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("no consensus tables in %s (set LODE_VECTORS)", dir)
	}
	return files
}

// rows reads the lines after the heading.
func rows(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	require.Greater(t, len(lines), 2)
	return lines[1:]
}

// pair reads the two numbers in a file's name.
func pair(t *testing.T, file string) (name string, a, b *stdbig.Int) {
	t.Helper()
	name = strings.TrimSuffix(filepath.Base(file), ".golden")
	parts := strings.Split(strings.TrimPrefix(name, "lam-"), "-")
	require.Len(t, parts, 2)
	return name, number(t, parts[0]), number(t, parts[1])
}

func TestVectorsPoissonFunction(t *testing.T) {
	for _, file := range corpus(t, "TestPoissonFunction/*.golden") {
		name, base, shift := pair(t, file)
		t.Run(name, func(t *testing.T) {
			lambda := new(stdbig.Int).Lsh(base, uint(precision-shift.Int64()))
			p := newPoisson(lambda)
			for i, row := range rows(t, file) {
				if i > 0 {
					p.next()
				}
				require.Equal(t, number(t, row).String(), p.icdf.String(), "more than %d wins", i)
			}
		})
	}
}

func TestVectorsLambdaFunction(t *testing.T) {
	for _, file := range corpus(t, "TestLambdaFunction/*.golden") {
		name, power, total := pair(t, file)
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, number(t, string(b)).String(), lambda(power, total).String())
		})
	}
}

func TestVectorsExpFunction(t *testing.T) {
	for _, file := range corpus(t, "testdata/TestExpFunction.golden") {
		for i, row := range rows(t, file) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				x, y, ok := strings.Cut(row, ",")
				require.True(t, ok)
				require.Equal(t, number(t, y).String(), expneg(number(t, x)).String())
			})
		}
	}
}

func TestWinCount(t *testing.T) {
	counting := make([]byte, 96)
	for i := range counting {
		counting[i] = byte(i)
	}
	for name, c := range map[string]struct {
		vrf          []byte
		power, total int64
		want         int64
	}{
		"zeros, all power": {bytes.Repeat([]byte{0}, 96), 1, 1, 7},
		"ones, half":       {bytes.Repeat([]byte{1}, 96), 1, 2, 2},
		"twos, a tenth":    {bytes.Repeat([]byte{2}, 96), 1, 10, 1},
		"counting, 3/4":    {counting, 3, 4, 4},
		"0xff, all power":  {bytes.Repeat([]byte{0xff}, 96), 1, 1, 8},
		"no power":         {counting, 0, 4, 0},
		"negative power":   {counting, -3, 4, 0},
		"nobody has any":   {counting, 3, 0, 0},
		"huge power":       {counting, 1 << 60, 1, 15},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, WinCount(c.vrf, big.NewInt(c.power), big.NewInt(c.total)))
		})
	}
}

// More power never wins less, and half of the miners' mean is near five.
func TestWinCountIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vrf := rapid.SliceOfN(rapid.Byte(), 96, 96).Draw(t, "vrf")
		total := rapid.Int64Range(1, 1<<40).Draw(t, "total")
		a := rapid.Int64Range(0, total).Draw(t, "a")
		b := rapid.Int64Range(a, total).Draw(t, "b")
		less := WinCount(vrf, big.NewInt(a), big.NewInt(total))
		more := WinCount(vrf, big.NewInt(b), big.NewInt(total))
		if less > more || more > maxWins || less < 0 {
			t.Fatalf("%d of %d wins %d, %d wins %d", a, total, less, b, more)
		}
	})
	var sum int64
	const draws = 2000
	for i := range draws {
		sum += WinCount([]byte(strconv.Itoa(i)), big.NewInt(1), big.NewInt(1))
	}
	require.InDelta(t, expectedLeaders, float64(sum)/draws, 0.2)
}

func BenchmarkWinCount(b *testing.B) {
	power, total := big.NewInt(1<<40), big.NewInt(3<<40)
	for i := range b.N {
		WinCount([]byte{byte(i), byte(i >> 8)}, power, total)
	}
}
