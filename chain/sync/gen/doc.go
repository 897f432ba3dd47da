// Command gen writes the CBOR codecs of hello and exchange, cbor_gen.go. go generate calls it
// in either folder, and by the folder's name it knows which types to write for.
package main
