// Package vectors reads the public proof vectors for tests, and counts those that ran: a
// line for each file, such as "vectors: labels.json: 2 labels", that go test -v shows. Only
// tests import it. Read vectors.go, then set.go.
package vectors
