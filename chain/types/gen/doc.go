// Command gen writes the CBOR codecs of chain/types.
package main
