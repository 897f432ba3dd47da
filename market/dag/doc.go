// Package dag turns a client's file into content-addressed blocks and those into pieces
// that fit a sector, and gives each piece back as a CARv1 stream.
//
// A file becomes a balanced UnixFS DAG (CIDv1, raw leaves) in the block store handed in.
// Its pieces are CARs: the first holds the interior nodes and as many leaves as fit, the
// following the other leaves, so the root in every header gives the whole file back. A CAR
// is never stored: the plan says which blocks it has, and the stream is made from them.
// An empty file is one empty leaf and makes a piece like any other.
//
// It owns the tables dag_import and dag_piece and starts nothing. Start with Store.Import,
// then plan.go.
package dag
