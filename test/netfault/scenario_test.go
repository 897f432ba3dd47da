package netfault_test

import (
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed scenarios/*.toml
var files embed.FS

// scenario is one file: a network, what is done to it and when, and what must come of it.
type scenario struct {
	ID     string
	Title  string
	Levels []string // sim, netns
	Seed   uint64
	Nodes  int
	Miners int
	// Late are nodes that a step starts; all others are up from the beginning.
	Late  []int
	Epoch int // seconds
	// Length is how long it all takes from epoch 0 on; steps may wait longer.
	Length span
	// Send is how often a transfer is sent, from the nodes in turn; 0 is never.
	Send span
	Link link // of every pair to begin with
	// Alone: it takes the whole machine, so no other runs beside it in namespaces.
	Alone bool
	// Caps of each process.
	MaxRSS int64 // MiB
	MaxFDs int
	Steps  []step `toml:"at"`
}

// step is one thing that is done or expected. Which of the other fields count depends on Do.
type step struct {
	Time span // since epoch 0
	Do   string

	Nodes   []int
	Islands []int // island of each node, for split
	From    int
	To      int
	Link    link
	Within  span // how long an expectation may take to come true
	N       int
	Max     span // bound of a figure
	// Repeats: a flap is Up and Down in turns, a swizzle is Rounds of cuts.
	Rounds   int
	Every    span
	Up, Down span
	Until    span

	Attack string
	// Rate is how much of an attack there is: a second, at once, or in all, as the attack has
	// it. SimRate stands for it in virtual time, where one machine does the work of all.
	Rate, SimRate int
}

// link is what a pair's wire does to packets, one way.
type link struct {
	Delay  span
	Jitter span    // evenly, up to this much more
	Loss   float64 // share of packets
	Burst  float64 // mean length of a run of losses, in packets; 0 or 1 is independent losses
	Mbit   float64 // 0 is unbounded
}

// span is a time.Duration in a file.
type span struct{ time.Duration }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(b []byte) (err error) {
	s.Duration, err = time.ParseDuration(string(b))
	return err
}

const (
	levelSim   = "sim"
	levelNetns = "netns"
)

// scenarios are all files of a level, by name.
func scenarios(t *testing.T, level string) []scenario {
	t.Helper()
	names, err := fs.Glob(files, "scenarios/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	var out []scenario
	for _, n := range names {
		s, err := parse(n)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(s.Levels, level) {
			out = append(out, s)
		}
	}
	return out
}

func parse(name string) (scenario, error) {
	s := scenario{Epoch: 2, Miners: 1, MaxRSS: 700, MaxFDs: 600}
	b, err := files.ReadFile(name)
	if err != nil {
		return s, err
	}
	meta, err := toml.Decode(string(b), &s)
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	if left := meta.Undecoded(); len(left) > 0 {
		return s, fmt.Errorf("%s: unknown key %s", name, left[0])
	}
	if want := strings.TrimSuffix(path.Base(name), ".toml"); !strings.EqualFold(s.ID, want) {
		return s, fmt.Errorf("%s: it calls itself %s", name, s.ID)
	}
	return s, s.check()
}

func (s *scenario) check() error {
	for _, l := range s.Levels {
		if l != levelSim && l != levelNetns {
			return fmt.Errorf("%s: level %q", s.ID, l)
		}
	}
	if len(s.Levels) == 0 || s.Nodes < 1 || s.Miners < 1 || s.Miners > s.Nodes || s.Epoch < 1 {
		return fmt.Errorf("%s: no level, or an odd number of nodes, miners or seconds of an epoch", s.ID)
	}
	for i, st := range s.Steps {
		if _, ok := deeds[st.Do]; !ok {
			return fmt.Errorf("%s: step %d: nobody knows how to %q", s.ID, i, st.Do)
		}
		for _, n := range append(slices.Clone(st.Nodes), st.From, st.To) {
			if n < 0 || n >= s.Nodes {
				return fmt.Errorf("%s: step %d: there is no node %d", s.ID, i, n)
			}
		}
		if st.Do == "split" && len(st.Islands) != s.Nodes {
			return fmt.Errorf("%s: step %d: %d islands for %d nodes", s.ID, i, len(st.Islands), s.Nodes)
		}
	}
	return nil
}

// plan is the timeline with repeated faults written out, drawn from the seed.
func (s *scenario) plan() []step {
	rng := rand.New(rand.NewPCG(s.Seed, 0))
	var out []step
	for _, st := range s.Steps {
		switch st.Do {
		case "flap":
			for at := st.Time.Duration; at < st.Until.Duration; at += st.Up.Duration + st.Down.Duration {
				out = append(out, step{Time: span{at + st.Up.Duration}, Do: "isolate", Nodes: st.Nodes},
					step{Time: span{at + st.Up.Duration + st.Down.Duration}, Do: "rejoin", Nodes: st.Nodes})
			}
		case "swizzle":
			out = append(out, swizzle(rng, s.Nodes, st)...)
		default:
			out = append(out, st)
		}
	}
	slices.SortStableFunc(out, func(a, b step) int { return int(a.Time.Duration - b.Time.Duration) })
	return out
}

// swizzle cuts all links one by one in random order and mends them in another, many times.
func swizzle(rng *rand.Rand, nodes int, st step) []step {
	var pairs [][2]int
	for i := range nodes {
		for j := range i {
			pairs = append(pairs, [2]int{j, i})
		}
	}
	var out []step
	at := st.Time.Duration
	for range st.Rounds {
		for _, do := range []string{"cut", "mend"} {
			rng.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
			for _, p := range pairs {
				for _, d := range [][2]int{p, {p[1], p[0]}} {
					out = append(out, step{Time: span{at}, Do: do, From: d[0], To: d[1]})
				}
				at += st.Every.Duration
			}
		}
	}
	return out
}

// String is a line of the timeline.
func (st step) String() string {
	s := fmt.Sprintf("%7.1fs %s", st.Time.Seconds(), st.Do)
	switch st.Do {
	case "split":
		return fmt.Sprintf("%s %v", s, st.Islands)
	case "cut", "mend", "apart":
		return fmt.Sprintf("%s %d→%d", s, st.From, st.To)
	case "attack":
		return fmt.Sprintf("%s %s on %v", s, st.Attack, st.Nodes)
	case "link":
		return fmt.Sprintf("%s %v %+v", s, st.Nodes, st.Link)
	}
	if len(st.Nodes) > 0 {
		return fmt.Sprintf("%s %v", s, st.Nodes)
	}
	return s
}

func TestScenarioFiles(t *testing.T) {
	for _, level := range []string{levelSim, levelNetns} {
		for _, s := range scenarios(t, level) {
			a, b := s.plan(), s.plan()
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("%s: two plans of one seed differ", s.ID)
			}
		}
	}
}
