package types

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
)

// FIL is an amount that people read and write in FIL. It has the value of the TokenAmount
// that it is made of; convert either way.
type FIL abi.TokenAmount

// filDecimals is how many digits follow the point: 1 FIL is 10^18 attoFIL.
const filDecimals = 18

// filUnits are the units with the power of ten of one of them in attoFIL, largest first.
var filUnits = []struct {
	name  string
	power int
}{
	{"fil", 18}, {"millifil", 15}, {"microfil", 12}, {"nanofil", 9}, {"picofil", 6}, {"femtofil", 3}, {"attofil", 0},
}

// maxFILText bounds the text of an amount: more than any needs.
const maxFILText = 64

// ParseFIL reads an amount: "1.5", "1.5 FIL", "10 nanofil", "123attofil". A bare number is
// in FIL. Digits below one attoFIL are refused.
func ParseFIL(text string) (FIL, error) {
	bad := func(why string) (FIL, error) {
		return FIL{}, fmt.Errorf("amount %.64q: %s; write for example \"1.5 FIL\", \"10 nanofil\" or \"123 attofil\"", text, why)
	}
	if len(text) > maxFILText {
		return bad("too long")
	}
	t := strings.TrimSpace(text)
	end := strings.LastIndexAny(t, "0123456789.") + 1
	number, unit := t[:end], strings.ToLower(strings.TrimSpace(t[end:]))
	power := filDecimals
	if unit != "" {
		power = -1
		for _, u := range filUnits {
			if u.name == unit {
				power = u.power
			}
		}
		if power < 0 {
			return bad("unknown unit")
		}
	}
	number, negative := strings.CutPrefix(number, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	fraction = strings.TrimRight(fraction, "0")
	if whole+fraction == "" && !strings.ContainsAny(number, "0") || strings.Trim(whole+fraction, "0123456789") != "" {
		return bad("not a number")
	}
	if len(fraction) > power {
		return bad("finer than one attoFIL")
	}
	v, err := big.FromString("0" + whole + fraction + strings.Repeat("0", power-len(fraction)))
	if err != nil {
		return bad("not a number")
	}
	if v.GreaterThan(TotalFilecoin) {
		return bad("more than all FIL that exist")
	}
	if negative {
		v = v.Neg()
	}
	return FIL(v), nil
}

// String writes the exact amount in FIL: "1.5 FIL".
func (f FIL) String() string { return f.in(filDecimals) + " FIL" }

// Short writes the exact amount in the largest unit of which it is one or more, or in FIL
// down to a hundredth: "0.07 FIL", "100 attoFIL".
func (f FIL) Short() string {
	if f.Int == nil || f.Sign() == 0 {
		return "0 FIL"
	}
	for i, u := range filUnits {
		s := f.in(u.power)
		below := strings.HasPrefix(strings.TrimPrefix(s, "-"), "0.")
		if !below || i == 0 && !strings.HasPrefix(strings.TrimPrefix(s, "-"), "0.00") {
			return s + " " + strings.TrimSuffix(u.name, "fil") + "FIL"
		}
	}
	return "" // one attoFIL is never below one of itself
}

func (f FIL) in(power int) string {
	if f.Int == nil {
		return "0"
	}
	digits := f.Int.String()
	digits, negative := strings.CutPrefix(digits, "-")
	if len(digits) <= power {
		digits = strings.Repeat("0", power+1-len(digits)) + digits
	}
	whole, fraction := digits[:len(digits)-power], strings.TrimRight(digits[len(digits)-power:], "0")
	if fraction != "" {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole
}

// Format implements fmt.Formatter: every verb writes String, with the width asked for. The
// number inside would answer otherwise.
func (f FIL) Format(s fmt.State, _ rune) { fmt.Fprintf(s, fmt.FormatString(s, 's'), f.String()) }

// MarshalJSON implements json.Marshaler.
func (f FIL) MarshalJSON() ([]byte, error) { return json.Marshal(f.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (f *FIL) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return f.UnmarshalText([]byte(s))
}

// MarshalText implements encoding.TextMarshaler.
func (f FIL) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *FIL) UnmarshalText(b []byte) error {
	v, err := ParseFIL(string(b))
	if err == nil {
		*f = v
	}
	return err
}
