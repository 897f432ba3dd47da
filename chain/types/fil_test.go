package types

import (
	"fmt"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/big"
	"github.com/stretchr/testify/require"
)

func TestParseFIL(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1": "1000000000000000000", "1.5": "1500000000000000000", ".5": "500000000000000000",
		"1.5 FIL": "1500000000000000000", "1.5fil": "1500000000000000000", " 2 Fil ": "2000000000000000000",
		"10 nanofil": "10000000000", "123 attofil": "123", "123attoFIL": "123", "1 picofil": "1000000",
		"0.000000000000000001": "1", "1.500 femtofil": "1500", "-3": "-3000000000000000000", "0.0": "0",
		"2000000000": "2000000000000000000000000000",
	} {
		got, err := ParseFIL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, big.Int(got).String(), text)
	}
	for _, text := range []string{"", " ", ".", "fil", "1 btc", "1.2.3", "1e9", "0x10", "--1", "1,5", "0.1 attofil",
		"0.0000000000000000001", strings.Repeat("9", 100), "2000000001", "1 2", "∞", "१"} {
		_, err := ParseFIL(text)
		require.Error(t, err, text)
	}
}

func TestFILText(t *testing.T) {
	for atto, want := range map[string][2]string{
		"0":                         {"0 FIL", "0 FIL"},
		"1":                         {"0.000000000000000001 FIL", "1 attoFIL"},
		"100":                       {"0.0000000000000001 FIL", "100 attoFIL"},
		"1500000000000000000":       {"1.5 FIL", "1.5 FIL"},
		"2000000000000000000000000": {"2000000 FIL", "2000000 FIL"},
		"70000000000000000":         {"0.07 FIL", "0.07 FIL"},
		"123456789":                 {"0.000000000123456789 FIL", "123.456789 picoFIL"},
		"-1500000000000000000":      {"-1.5 FIL", "-1.5 FIL"},
		"-1":                        {"-0.000000000000000001 FIL", "-1 attoFIL"},
	} {
		v, err := big.FromString(atto)
		require.NoError(t, err)
		require.Equal(t, want[0], FIL(v).String())
		require.Equal(t, want[1], FIL(v).Short())
		require.Equal(t, want[0], fmt.Sprint(FIL(v)))
		for _, s := range want {
			back, err := ParseFIL(s)
			require.NoError(t, err)
			require.True(t, big.Int(back).Equals(v), "%s read back", s)
		}
	}
	require.Equal(t, "   0 FIL", fmt.Sprintf("%8s", FIL{}))
}

func FuzzParseFIL(f *testing.F) {
	for _, s := range []string{"1.5 FIL", "10 nanofil", "-.0", "1..2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseFIL(s)
		if err != nil {
			return
		}
		for _, text := range []string{v.String(), v.Short()} {
			back, err := ParseFIL(text)
			if err != nil || !big.Int(back).Equals(big.Int(v)) {
				t.Fatalf("%q became %q, which reads as %v, %v", s, text, back, err)
			}
		}
	})
}
