package repo

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name        string
		free, bytes uint64
		ok          bool
	}{
		{"plenty", 10 * Reserve, Reserve, true},
		{"just enough", Reserve + 7, 7, true},
		{"one byte short", Reserve + 7, 8, false},
		{"nothing needed", Reserve, 0, true},
		{"below the reserve", Reserve - 1, 0, false},
		{"more than any disk has", 10 * Reserve, math.MaxUint64, false},
	} {
		err := room("/d", c.free, c.bytes)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrNoSpace) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "/d has") {
			t.Errorf("%s: the error does not say where: %v", c.name, err)
		}
	}
}
