// Package consensus tests the rules of consensus on real blocks: sealed sectors, drawn
// elections, executed messages. It holds tests alone; they are here because they need parts
// of higher floors than chain/consensus.
package consensus
