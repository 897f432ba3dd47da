// Package cli is lode's command line: verbs about a running node, each of which calls one api
// method or one composition of api/porcelain, and verbs that need no node (init, daemon,
// network, devnet, demo, params, seal, unseal, proof, bench), each of which calls the package
// that owns the work.
//
// There is no logic here: a command reads flags, calls, and prints a table, or JSON with
// --json. Errors go to standard error and say what to do; the exit code tells what kind they
// are (see exit.go). There is one file a noun. Read app.go, then any noun.
package cli
