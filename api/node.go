package api

// Node is everything that a node answers to. A part that a node does not run (a provider's,
// a client's) answers with ErrNoRole.
type Node interface {
	Common
	Chain
	State
	Gas
	Mpool
	Wallet
	Net
	P2P
	Sync
	Provider
	Client
}

// Namespace is the prefix of every method on the wire.
const Namespace = "Filecoin"

// Permission lets a caller use methods. Permissions are a set, not a ladder.
type Permission string

// The permissions (spec api.md A.3).
const (
	PermRead  Permission = "read"  // look
	PermWrite Permission = "write" // change the node, spend nothing
	PermSign  Permission = "sign"  // spend from the node's wallet
	PermAdmin Permission = "admin" // keys, tokens, shutdown
)

// AllPermissions lists them from the weakest to the strongest.
func AllPermissions() []Permission {
	return []Permission{PermRead, PermWrite, PermSign, PermAdmin}
}
