// Package chaintest makes chains for the tests of chain/sync: real headers and messages in a
// real store in memory, with rules that cost nothing instead of the consensus. Only tests
// import it.
package chaintest
