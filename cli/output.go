package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/lodenet/lode/chain/types"
)

// show prints a value as JSON or as text. v must be addressable through pointers and slices,
// since amounts write themselves only from a place in memory.
func (a *app) show(v any, plain func(w io.Writer) error) error {
	if !a.json {
		return plain(a.Out)
	}
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say prints a line of progress on standard error.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Err, format+"\n", args...)
	}
}

// grid prints rows under a heading, aligned. A column whose name begins with > is numbers.
func grid(w io.Writer, columns []string, rows [][]string) error {
	t := table.NewWriter()
	t.SuppressTrailingSpaces()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatUpper
	t.SetStyle(style)
	var head table.Row
	var config []table.ColumnConfig
	for i, c := range columns {
		name, number := strings.CutPrefix(c, ">")
		head = append(head, name)
		if number {
			config = append(config, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.SetColumnConfigs(config)
	t.AppendHeader(head)
	for _, r := range rows {
		row := make(table.Row, len(r))
		for i, c := range r {
			row[i] = c
		}
		t.AppendRow(row)
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

// fields prints names and values in two columns. Empty values are left out.
func fields(w io.Writer, pairs ...string) error {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// fil shows an amount.
func fil(v abi.TokenAmount) string { return types.FIL(v).String() }

// price shows an amount that is usually far below one FIL.
func price(v abi.TokenAmount) string { return types.FIL(v).Short() }

// size shows a number of bytes.
func size(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 5 {
		f /= unit
		i++
	}
	s := strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
	return s + " " + [...]string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[i]
}

// when shows a moment; none is a dash.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// seconds shows a duration in whole seconds.
func seconds(d time.Duration) string { return d.Round(time.Second).String() }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// dash stands for nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// terminal tells whether a person is at the other end.
func terminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks before something is spent or destroyed. Without a terminal --yes is needed.
func (a *app) confirm(what string) error {
	if a.yes {
		return nil
	}
	if !terminal(a.In) {
		return usagef("%s; add --yes to do it", what)
	}
	fmt.Fprintf(a.Err, "%s. Go on? [y/N] ", what)
	line, err := bufio.NewReader(a.In).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if s := strings.ToLower(strings.TrimSpace(line)); s != "y" && s != "yes" {
		return fmt.Errorf("not done")
	}
	return nil
}
