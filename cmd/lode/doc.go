// Command lode is a decentralised-storage node and its command line.
package main
