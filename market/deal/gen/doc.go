// Command gen writes the CBOR codecs of market/deal.
package main
