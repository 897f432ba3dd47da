// Package wallet holds the node's keys and signs with them.
//
// A key is a file of the keystore (spec chain.md a.5), encrypted with a passphrase unless
// the keystore was made plain, which is then marked in it. Nothing else sees a spending
// key, other than by Export. It knows key addresses only, and nothing of the chain.
//
// No goroutines. Start with wallet.go; file formats are in keyinfo.go and keystore.go.
package wallet
