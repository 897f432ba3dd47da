// Package mining tests the mining of real blocks in virtual time. It holds tests alone; they
// are here because they need parts of higher floors than chain/mining.
package mining
