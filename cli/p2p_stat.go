package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/lodenet/lode/api"
)

func showP2PStats(w io.Writer, st *api.P2PStats) error {
	var set uint64
	for _, s := range st.Setup {
		set += s.Count
	}
	mean := time.Duration(0)
	if set > 0 {
		mean = st.SetupTime / time.Duration(set)
	}
	pairs := []string{
		"open", fmt.Sprint(st.Open), "opened", fmt.Sprint(st.Opened), "from peers", size(st.BytesIn), "to peers", size(st.BytesOut),
		"mean set-up", mean.Round(time.Microsecond).String(),
	}
	for _, s := range st.Setup {
		name := "set up in " + s.Within.String()
		if s.Within == 0 {
			name = "set up later"
		}
		if s.Count > 0 {
			pairs = append(pairs, name, fmt.Sprint(s.Count))
		}
	}
	for _, why := range slices.Sorted(maps.Keys(st.Ends)) {
		pairs = append(pairs, "ended: "+why, fmt.Sprint(st.Ends[why]))
	}
	return fields(w, pairs...)
}
