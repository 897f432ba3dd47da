// Package sector is the life of one sector as a pure state machine: an event goes in, the
// new record and the work to be done come out (spec markets.md C.2, C.3 and C.5).
//
// Rules.Apply knows no clock, disk, chain or global; the same record and event give the same
// result everywhere. Store keeps one row a sector in SQLite and applies an event, and what
// the caller does with its actions, in one transaction. Work itself is storage/sealing's,
// which calls both.
//
// Every state that has work names one Stage. Entering such a state counts Entry up and gives
// out one Run action with that number, so a job whose number is not the record's is obsolete
// and may be dropped. No goroutine is started here. Read state.go, then machine.go.
package sector
