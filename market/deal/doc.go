// Package deal is what both sides of a storage deal share (spec markets.md A): the messages
// of the deal protocols and their CBOR forms, the provider's ask, the rules of acceptance,
// prices and collaterals, how rows of deals are read, and what the market needs of the chain.
//
// It starts nothing and keeps nothing. The provider's side is in market/deal/provider, the
// client's in market/deal/client. Start with wire.go, then rules.go.
package deal
