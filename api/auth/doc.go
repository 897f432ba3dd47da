// Package auth makes and checks the tokens that let callers use a node's methods: compact
// JWTs signed with HMAC-SHA256 that carry a set of permissions (spec api.md A.3).
//
// The secret is handed in. A token is good until the secret changes, or until the expiry it
// carries, if any. Nothing here runs.
package auth
