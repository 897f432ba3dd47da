package auth_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/lodenet/lode/api"
	"github.com/lodenet/lode/api/auth"
)

var secret = bytes.Repeat([]byte{7}, 32)

func TestTokenForm(t *testing.T) {
	tokens, err := auth.New(secret)
	require.NoError(t, err)
	tok, err := tokens.AuthNew(t.Context(), api.AllPermissions())
	require.NoError(t, err)
	parts := strings.Split(string(tok), ".")
	require.Len(t, parts, 3)
	for i, want := range []string{`{"alg":"HS256","typ":"JWT"}`, `{"Allow":["read","write","sign","admin"]}`} {
		got, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
	perms, err := tokens.AuthVerify(t.Context(), string(tok))
	require.NoError(t, err)
	require.Equal(t, api.AllPermissions(), perms)
}

func TestWhatIsRefused(t *testing.T) {
	tokens, err := auth.New(secret)
	require.NoError(t, err)
	_, err = auth.New(secret[1:])
	require.ErrorContains(t, err, "31 bytes")
	for _, perms := range [][]api.Permission{nil, {"root"}, {api.PermRead, ""}} {
		_, err := tokens.AuthNew(t.Context(), perms)
		require.ErrorContains(t, err, "read, write, sign")
	}

	sign := func(m jwt.SigningMethod, c jwt.MapClaims, key any) string {
		s, err := jwt.NewWithClaims(m, c).SignedString(key)
		require.NoError(t, err)
		return s
	}
	allow := jwt.MapClaims{"Allow": []string{"admin"}}
	for name, tok := range map[string]string{
		"empty":          "",
		"noise":          "a.b.c",
		"other secret":   sign(jwt.SigningMethodHS256, allow, bytes.Repeat([]byte{8}, 32)),
		"no signature":   sign(jwt.SigningMethodNone, allow, jwt.UnsafeAllowNoneSignatureType),
		"other method":   sign(jwt.SigningMethodHS512, allow, secret),
		"expired":        sign(jwt.SigningMethodHS256, jwt.MapClaims{"Allow": []string{"admin"}, "exp": time.Now().Add(-time.Minute).Unix()}, secret),
		"not yet":        sign(jwt.SigningMethodHS256, jwt.MapClaims{"Allow": []string{"admin"}, "nbf": time.Now().Add(time.Hour).Unix()}, secret),
		"allow is a map": sign(jwt.SigningMethodHS256, jwt.MapClaims{"Allow": map[string]int{}}, secret),
	} {
		_, err := tokens.AuthVerify(t.Context(), tok)
		require.ErrorIs(t, err, auth.ErrToken, name)
	}

	got, err := tokens.AuthVerify(t.Context(), sign(jwt.SigningMethodHS256, jwt.MapClaims{
		"Allow": []string{"read", "root"}, "exp": time.Now().Add(time.Hour).Unix(),
	}, secret))
	require.NoError(t, err)
	require.Equal(t, []api.Permission{api.PermRead}, got)
}

func FuzzAuthVerify(f *testing.F) {
	tokens, err := auth.New(secret)
	if err != nil {
		f.Fatal(err)
	}
	tok, err := tokens.AuthNew(f.Context(), []api.Permission{api.PermRead})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(tok))
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		perms, err := tokens.AuthVerify(t.Context(), s)
		if err == nil && len(perms) != 1 {
			t.Fatalf("%q allows %v", s, perms)
		}
	})
}
