package tunnel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// Prefix is where names of tunnels live, as with Kubo.
const Prefix = "/x/"

// maxName bounds a protocol's name in bytes: multistream-select takes 1,024 with the newline.
const maxName = 1<<10 - 1

// ErrName: the protocol's name cannot be used for a tunnel; the text says why.
var ErrName = errors.New("protocol name")

// reserved are the names of services that a lode node has, or may have one day. A tunnel
// under such a name would answer in their place (spec network.md T-09).
var reserved = [...]string{"/fil/", "/ipfs/", "/libp2p/", "/f3/", "/meshsub/", "/floodsub/", "/chain/", "/lode/"}

// CheckName tells whether a tunnel may have this name. custom allows names outside Prefix.
func CheckName(name string, custom bool) error {
	switch {
	case name == "":
		return fmt.Errorf("%w is empty", ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%w of %d bytes is too long: at most %d", ErrName, len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("%w %q has spaces, control characters or broken UTF-8", ErrName, name)
	case !custom && !strings.HasPrefix(name, Prefix):
		return fmt.Errorf("%w must be within '%s' namespace; %q is not (--allow-custom-protocol lifts this)", ErrName, Prefix, name)
	}
	for _, r := range reserved {
		if strings.HasPrefix(name, r) || name == strings.TrimSuffix(r, "/") {
			return fmt.Errorf("%w %q is reserved: names under %s belong to the node's own services", ErrName, name, r)
		}
	}
	return nil
}

// checkServed refuses the name of a protocol that another part of the node answers.
func checkServed(name protocol.ID, served []protocol.ID) error {
	if name != Prefix && slices.Contains(served, name) {
		return fmt.Errorf("%w %q is reserved: this node serves it already", ErrName, name)
	}
	return nil
}
