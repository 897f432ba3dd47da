package devnet

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// story tells a person what happens: a line a finished step, and on a terminal a bar that
// moves in place while a step takes its time. It is for one goroutine.
type story struct {
	out   io.Writer
	live  bool // out is a terminal
	steps int
	step  int
	name  string
	begun time.Time
	told  []Step
	drawn bool // a bar stands on the current line
}

// Step is one step of a demo and what came of it.
type Step struct {
	Name, What string
	Seconds    float64
}

func newStory(out io.Writer, steps int) *story {
	f, ok := out.(*os.File)
	return &story{out: out, live: ok && term.IsTerminal(int(f.Fd())), steps: steps}
}

// begin opens the next step.
func (s *story) begin(name string) {
	s.step++
	s.name, s.begun = name, time.Now()
	s.bar(0, "")
}

// bar shows how far the step is, 0 to 1, and what it does. Without a terminal it does
// nothing.
func (s *story) bar(done float64, what string) {
	if !s.live {
		return
	}
	const width = 24
	full := min(width, max(0, int(done*width)))
	fmt.Fprintf(s.out, "\r\033[K%d/%d %-9s [%s%s] %s", s.step, s.steps, s.name, strings.Repeat("#", full), strings.Repeat(".", width-full), what)
	s.drawn = true
}

// note prints a line inside a step.
func (s *story) note(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.out, "              %s\n", fmt.Sprintf(format, args...))
}

// end closes the step with what came of it.
func (s *story) end(format string, args ...any) {
	took := time.Since(s.begun)
	what := fmt.Sprintf(format, args...)
	s.told = append(s.told, Step{s.name, what, took.Seconds()})
	s.clear()
	fmt.Fprintf(s.out, "%d/%d %-9s %s  (%.1f s)\n", s.step, s.steps, s.name, what, took.Seconds())
}

func (s *story) say(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *story) clear() {
	if s.drawn {
		fmt.Fprint(s.out, "\r\033[K")
		s.drawn = false
	}
}

// total is the time of all steps, in seconds.
func (s *story) total() float64 {
	var t float64
	for _, st := range s.told {
		t += st.Seconds
	}
	return t
}

// phases lists the steps with their times.
func (s *story) phases() string {
	var out []string
	for _, st := range s.told {
		out = append(out, fmt.Sprintf("%s %.0f s", st.Name, st.Seconds))
	}
	return strings.Join(out, ", ")
}

// bytesText writes a size for people.
func bytesText(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
