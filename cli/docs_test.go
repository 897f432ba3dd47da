package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocsParse runs the parser, and nothing else, over every command that the documents
// name: the commands and flags that a reader is told of exist.
func TestDocsParse(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/*/*.md"} {
		found, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	seen := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commandsIn(string(b)) {
			seen++
			if err := parses(c.words, c.whole); err != nil {
				t.Errorf("%s:%d: lode %s: %v", file, c.line, strings.Join(c.words, " "), err)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d commands were found", seen)
	}
}

// TestDocsParseSees breaks commands in the ways that documents do.
func TestDocsParseSees(t *testing.T) {
	for text, want := range map[string]bool{
		"`lode chain head`": true, "`lode chain heat`": false, "`lode chian head`": false, "`lode net ban ls|add`": true, "`lode net ban ls|ad`": false,
		"`lode demo --nodes`": true, "`lode demo --knots`": false, "```\nbin/lode demo --nodes\n```": false, "```\nlode get <a CID> -o x  # it\n```": true,
		"```\nlode get -z\n```": false, "```\nA=b bin/lode chain head x y   shows\n```": false, "```\nlode chain head     shows it\n```": true,
	} {
		var err error
		found := commandsIn(text)
		for _, c := range found {
			err = errors.Join(err, parses(c.words, c.whole))
		}
		if len(found) == 0 || (err == nil) != want {
			t.Errorf("%q: %d commands, %v", text, len(found), err)
		}
	}
}

type command struct {
	line  int
	words []string // after lode
	whole bool     // to be typed as it is, and not only named
}

var (
	inSpan = regexp.MustCompile("`(?:bin/)?lode ([^`]+)`")
	inCode = regexp.MustCompile(`^(?:\$ )?(?:[A-Z_]+=\S* )*(?:bin/)?lode (.+)$`)
	// rest is what follows a command in a block of code: a comment, or words in a column.
	rest        = regexp.MustCompile(`\s+#.*$|\s{2,}.*$`)
	placeholder = regexp.MustCompile(`<[^>]+>`)
)

// commandsIn finds the commands of a Markdown document.
func commandsIn(text string) (out []command) {
	block := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			block = !block
		case block:
			if m := inCode.FindStringSubmatch(line); m != nil {
				out = append(out, command{i + 1, words(rest.ReplaceAllString(m[1], "")), true})
			}
		default:
			for _, m := range inSpan.FindAllStringSubmatch(line, -1) {
				for _, one := range alternatives(m[1]) {
					out = append(out, command{i + 1, words(one), false})
				}
			}
		}
	}
	return out
}

// alternatives spells out what stands for several commands: "net ban ls|add" is "net ban ls"
// and "net ban add".
func alternatives(s string) (out []string) {
	first := strings.Index(s, "|")
	if first < 0 {
		return []string{s}
	}
	common := s[:strings.LastIndex(s[:first], " ")+1]
	for _, one := range strings.Split(s[len(common):], "|") {
		out = append(out, common+one)
	}
	return out
}

// words splits a line as a shell does, as far as documents and examples need it.
func words(line string) (out []string) {
	line = placeholder.ReplaceAllString(line, "X")
	line = strings.NewReplacer("…", "", "[", "", "]", "").Replace(line)
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// parses tells what is wrong with a command line. One that is not whole need not have what
// its flags and the command itself want.
func parses(args []string, whole bool) error {
	root := (&app{Std: Std{Env: []string{"HOME=/home/me"}}}).root()
	if len(args) > 1 && args[0] == "--repo" {
		args = args[2:]
	}
	c, args, err := root.Find(args)
	if err != nil {
		return err
	}
	if whole {
		if err := c.ParseFlags(args); err != nil {
			return err
		}
		return c.ValidateArgs(c.Flags().Args())
	}
	for _, a := range args {
		name, long := strings.CutPrefix(a, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case long && c.Flag(name) == nil:
			return fmt.Errorf("no flag --%s", name)
		case long:
		case len(a) == 2 && a[0] == '-' && c.Flags().ShorthandLookup(a[1:]) == nil && c.InheritedFlags().ShorthandLookup(a[1:]) == nil:
			return fmt.Errorf("no flag %s", a)
		case c.HasSubCommands() && a[0] != '-':
			return fmt.Errorf("no command %s", a)
		}
	}
	return nil
}

// TestExamplesParse is the same for the examples of the help.
func TestExamplesParse(t *testing.T) {
	walk((&app{Std: Std{Env: []string{"HOME=/home/me"}}}).root(), func(c *cobra.Command) {
		for _, e := range strings.Split(c.Example, "\n") {
			_, after, found := strings.Cut(e, "lode ")
			if !found || strings.Contains(e, "$(") || strings.Contains(e, "|") || !c.HasParent() {
				continue
			}
			after = rest.ReplaceAllString(after, "")
			if shell := strings.IndexAny(after, "<>"); shell >= 0 {
				after = after[:shell]
			}
			if err := parses(words(after), true); err != nil {
				t.Errorf("%s: %v", e, err)
			}
		}
	})
}
