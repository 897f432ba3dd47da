package repo_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/repo"
)

var (
	setting = regexp.MustCompile("`([A-Z][A-Za-z0-9]*)\\.([A-Z][A-Za-z0-9]*)`")
	block   = regexp.MustCompile("(?s)```[a-z]*\n(\\[[A-Z][A-Za-z0-9]*\\]\n.*?)```")
	// someone stands for a peer id in documents.
	someone = regexp.MustCompile(`12D3Koo[A-Z]…`)
)

// The settings that the documents name exist, and what they show of config.toml is valid.
func TestDocsNameRealSettings(t *testing.T) {
	var docs []string
	for _, pattern := range []string{"../*.md", "../docs/*.md"} {
		found, err := filepath.Glob(filepath.FromSlash(pattern))
		require.NoError(t, err)
		docs = append(docs, found...)
	}
	named, shown := 0, 0
	config := reflect.TypeFor[repo.Config]()
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		require.NoError(t, err)
		for _, m := range setting.FindAllStringSubmatch(string(b), -1) {
			section, ok := config.FieldByName(m[1])
			if !ok {
				continue // a Go name
			}
			named++
			if _, ok := section.Type.FieldByName(m[2]); !ok {
				t.Errorf("%s names the setting %s.%s, which does not exist", doc, m[1], m[2])
			}
		}
		for _, m := range block.FindAllStringSubmatch(string(b), -1) {
			shown++
			text := someone.ReplaceAllString(m[1], "12D3KooWERnvgQMjdPUAu935g9NZURgr8xLu9gQ6nyxjpizRCdct")
			if _, err := repo.ParseConfig([]byte(text)); err != nil {
				t.Errorf("%s: %v in\n%s", doc, err, strings.TrimSpace(m[1]))
			}
		}
	}
	require.Greater(t, named, 10)
	require.Positive(t, shown)
}
