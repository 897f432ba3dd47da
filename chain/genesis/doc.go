// Package genesis makes the first block of a network from a template: accounts, miners with
// sectors that are sealed already, and the parameters of the network (spec chain.md h).
//
// It writes objects to the block store it is given and nothing else; who keeps the CAR, the
// network file and the miners' folders is the caller's choice. The same template gives the
// same block on every machine. Start with Make.
package genesis
