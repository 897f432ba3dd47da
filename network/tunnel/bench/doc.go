// Package bench measures tunnels against what they are made of, in one run on one machine.
//
// Three ways lead from one host to another over the loopback interface: a bare libp2p
// stream; the least proxy that could carry TCP over such a stream, a few lines that copy and
// keep no books; and a tunnel of network/tunnel. The same client and the same server talk
// over each. The bare stream has no TCP connection at either end, so what a tunnel loses
// against it is mostly the machine's own TCP; what it loses against the least proxy is ours.
//
// It opens ports of 127.0.0.1 alone, and leaves nothing behind. lode bench tunnel calls it.
// Read bench.go, then way.go.
package bench
