package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/lodenet/lode/api"
)

// minSecret is the shortest secret accepted, in bytes.
const minSecret = 32

// ErrToken: the token is not one of this node, or its time is over.
var ErrToken = errors.New("token is not valid on this node")

// Tokens makes and checks tokens. It is immutable and has the methods of api.Common that are
// about tokens, so a node embeds it.
type Tokens struct{ secret []byte }

// claims is the payload of a token.
type claims struct {
	Allow []api.Permission
	jwt.RegisteredClaims
}

// New takes the secret that signs tokens.
func New(secret []byte) (*Tokens, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("secret of API tokens has %d bytes, %d are needed", len(secret), minSecret)
	}
	return &Tokens{slices.Clone(secret)}, nil
}

// AuthNew makes a token with these permissions.
func (t *Tokens) AuthNew(_ context.Context, perms []api.Permission) ([]byte, error) {
	if len(perms) == 0 {
		return nil, errors.New("a token needs at least one permission of read, write, sign, admin")
	}
	for _, p := range perms {
		if !slices.Contains(api.AllPermissions(), p) {
			return nil, fmt.Errorf("permission %q is not read, write, sign or admin", p)
		}
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Allow: perms}).SignedString(t.secret)
	if err != nil {
		return nil, fmt.Errorf("make a token: %w", err)
	}
	return []byte(s), nil
}

// AuthVerify tells what a token allows.
func (t *Tokens) AuthVerify(_ context.Context, token string) ([]api.Permission, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return slices.DeleteFunc(c.Allow, func(p api.Permission) bool {
		return !slices.Contains(api.AllPermissions(), p)
	}), nil
}
