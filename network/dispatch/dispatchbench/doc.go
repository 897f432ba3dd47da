// Package dispatchbench measures network/dispatch beside bare channels and beside a
// dispatcher of the old kind: one queue and one loop for all topics. It is the work of
// `lode bench dispatch`; nothing else uses it.
//
// Every figure of a report is from the same run, so ratios hold on any machine. Read
// bench.go, then central.go.
package dispatchbench
